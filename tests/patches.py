"""Changes of the product in a copy of it, for tests that must notice them: guards removed, bugs planted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TOKEN = re.compile(r"""(#|--)[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\w+|\S""")
_NAMED = re.compile(r"-- name: (\w+)\n(.*?)(?=-- name: |\Z)", re.DOTALL)
_CLOSING = frozenset(")]}")


@dataclass(frozen=True)
class Patch:
    """Puts `new` in the place of `old`, which is there once; with `least` so often or more.

    where: `module.py::Class.function` (also a constant, `module.py::NAME`), `queries.sql::name`, or a path
    alone; a path may be a pattern ("postgres/*.sql"). In a function, constant or query, `old` is found
    token by token: indentation, line breaks and comments make no difference. An empty `old` is the whole
    body of the function. By a path alone it is exact text. Lines of `new` after its first are indented as
    the line in which `old` begins.
    """

    where: str
    old: str
    new: str
    least: int = 0

    def __str__(self) -> str:
        return f"{self.where}: {self.old.strip()!r}"

    def edit(self, files: dict[Path, str]) -> dict[Path, str]:
        """The texts that change. Raises AssertionError when `old` is not there once (`least` times)."""
        changed, times = {}, 0
        for file, text in files.items():
            spans = list(self._spans(file.suffix, text, self.where.partition("::")[2]))
            for begin, end in reversed(spans):
                text = text[:begin] + self._indented(text, begin) + text[end:]
            if spans:
                changed[file] = text
            times += len(spans)
        assert times >= self.least if self.least else times == 1, f"{self}: found {times} times"
        return changed

    def _spans(self, suffix: str, text: str, name: str) -> Iterator[tuple[int, int]]:
        if not name:
            yield from (found.span() for found in re.finditer(re.escape(self.old), text))
        for begin, end in _places(suffix, text, name) if name else ():
            if self.old.strip():
                yield from _same_tokens(text, begin, end, self.old)
            else:
                yield _body(text, begin, end)

    def _indented(self, text: str, at: int) -> str:
        if "::" not in self.where:
            return self.new
        line = text[text.rfind("\n", 0, at) + 1 : at]
        margin = line[: len(line) - len(line.lstrip())]
        return self.new.strip().replace("\n", f"\n{margin}")


def patched(tree: Path, patches: Iterable[Patch]) -> dict[Path, str]:
    """The files of a tree that change, with their new texts."""
    changed: dict[Path, str] = {}
    for patch in patches:
        files = tree.glob(patch.where.partition("::")[0])
        texts = {file: changed.get(file) or file.read_text("utf-8") for file in files}
        changed |= patch.edit(texts)
    return changed


def apply(tree: Path, patches: Iterable[Patch]) -> None:
    for file, text in patched(tree, patches).items():
        file.write_text(text, "utf-8")


def _places(suffix: str, text: str, name: str) -> Iterator[tuple[int, int]]:
    """Where the function, constant or query of this name is."""
    if suffix == ".sql":
        yield from (found.span(2) for found in _NAMED.finditer(text) if found[1] == name)
        return
    starts = _starts(text)
    nodes: list[ast.AST] = [ast.parse(text)]
    for part in name.split("."):
        nodes = [n for node in nodes for n in _within(node) if part in _names(n)]
    for node in nodes:
        assert isinstance(node, ast.stmt)
        assert node.end_lineno is not None
        yield starts[node.lineno - 1], starts[node.end_lineno]


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """What is of a module, class or function itself, not of what it defines."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _within(child)


def _names(node: ast.AST) -> list[str]:
    """What a statement defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _starts(text: str) -> list[int]:
    """Offsets of the lines, and the end."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return [min(start, len(text)) for start in starts]


def _body(text: str, begin: int, end: int) -> tuple[int, int]:
    """Of the function at begin: its statements after the docstring."""
    margin = re.match(r"[ ]*", text[begin:end])
    assert margin is not None
    first = text.count("\n", 0, begin)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.lineno == first + 1:
            documented = ast.get_docstring(node) is not None and len(node.body) > 1
            statement = node.body[1 if documented else 0]
            return _starts(text)[statement.lineno - 1] + statement.col_offset, end - 1
    raise AssertionError("no function")


def _same_tokens(text: str, begin: int, end: int, wanted: str) -> Iterator[tuple[int, int]]:
    tokens, old = _tokens(text, begin, end), _tokens(wanted, 0, len(wanted))
    words = [word for word, _, _ in old]
    at = 0
    while at + len(words) <= len(tokens):
        run = tokens[at : at + len(words)]
        if [word for word, _, _ in run] == words:
            yield run[0][1], run[-1][2]
            at += len(words)
        else:
            at += 1


def _tokens(text: str, begin: int, end: int) -> list[tuple[str, int, int]]:
    """(token, begin, end) without comments and without commas before a closing bracket."""
    found = [(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text, begin, end) if m[1] is None]
    following = [word for word, _, _ in found[1:]] + [""]
    return [
        token
        for token, after in zip(found, following, strict=True)
        if token[0] != "," or after not in _CLOSING
    ]
