"""One thing a room: files that are read in one go, and a core that remembers nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 400
HANDED_IN = {"sensorflow/core/profile/formats.py": ["_others"]}
"""Set once, when a process starts, and never by what it reads: the formats of other packages."""
PRODUCT = sorted(
    path.relative_to(ROOT)
    for top in ("sensorflow", "workers")
    for path in (ROOT / top).rglob("*.py")
)
CORE = [path for path in PRODUCT if path.is_relative_to("sensorflow/core")]

KEEPERS = {"dict", "list", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict"}
"""What makes something that can be changed, besides displays and comprehensions."""
CHANGES = re.compile(
    r"add|append(left)?|clear|discard|extend|insert|move_to_end|pop(item|left)?|remove|reverse|setdefault"
    r"|sort|subtract|((symmetric_)?difference_|intersection_)?update|__(set|del)item__"
)


def test_no_product_file_is_longer_than_one_reads_in_one_go() -> None:
    lengths = {str(path): (ROOT / path).read_text("utf-8").count("\n") for path in PRODUCT}
    too_long = {path: length for path, length in lengths.items() if length > MOST}
    assert too_long == {}


def test_the_core_keeps_nothing_from_one_call_to_the_next() -> None:
    found = {str(path): list(public_lines((ROOT / path).read_text("utf-8"))) for path in CORE}
    assert {path: names for path, names in found.items() if names} == HANDED_IN


@pytest.mark.parametrize(
    "text",
    [
        "LAST = {}\ndef f(x):\n    LAST[x] = 1\n",
        "LAST: dict[int, int] = {}\ndef f(x):\n    del LAST[x]\n",
        "SEEN = set()\ndef f(x):\n    SEEN.add(x)\n",
        "SEEN = [n for n in 'ab']\nclass A:\n    def f(self, x):\n        SEEN[0] += x\n",
        "SEEN = set()\ndef f(x):\n    global SEEN\n    SEEN = {x}\n",
        "from collections import Counter\nSEEN = Counter()\nf = lambda x: SEEN.update(x)\n",
        "from functools import cache\n@cache\ndef f(x):\n    return x\n",
        "import functools\n@functools.lru_cache(maxsize=None)\ndef f(x):\n    return x\n",
        "class A:\n    seen = []\n    def f(self, x):\n        self.seen.append(x)\n",
    ],
)
def test_what_is_kept_is_found(text: str) -> None:
    assert list(public_lines(text))


@pytest.mark.parametrize(
    "text",
    [
        "UNITS = {'m': 60}\ndef f(x):\n    return UNITS[x]\n",
        "UNITS = {}\nfor n in 'ab':\n    UNITS[n] = 1\n",
        "SEEN = []\ndef f(x):\n    SEEN = []\n    SEEN.append(x)\n",
        "from functools import cache\n@cache\ndef f():\n    return 1\n",
        "from functools import lru_cache\n@lru_cache(64)\ndef f(x):\n    return x\n",
        "class A:\n    def f(self, x):\n        self.seen = []\n        self.seen.append(x)\n",
    ],
)
def test_what_is_not_kept_is_not_found(text: str) -> None:
    assert list(public_lines(text)) == []


def public_lines(text: str) -> Iterator[str]:
    """The names of a module, or of its classes, that its functions change; and caches without a bound."""
    tree = ast.parse(text)
    yield from _changed(tree, tree.body, "")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            own = {t.attr for t in ast.walk(node) if _is_own(t)}
            yield from _changed(node, [n for n in node.body if _name(n) not in own], "self.")
        if isinstance(node, ast.FunctionDef) and any(map(_is_endless, node.decorator_list)):
            arguments = node.args
            if arguments.args or arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
                yield f"{node.name}: a cache without a bound"


def _changed(tree: ast.AST, body: list[ast.stmt], prefix: str) -> Iterator[str]:
    names = {prefix + name for node in body if (name := _name(node)) and _can_change(node)}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        shared = {n for g in ast.walk(function) if isinstance(g, ast.Global) for n in g.names}
        yield from sorted(shared)
        local = {n.id for n in ast.walk(function) if _is_bound(n)} - shared
        for node in ast.walk(function):
            yield from sorted({_target(t) for t in _targets(node)} & (names - local))


def _name(node: ast.stmt) -> str | None:
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return targets[0].id if targets and isinstance(targets[0], ast.Name) else None


def _can_change(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    if isinstance(value, ast.Call):
        called = value.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in KEEPERS
    return isinstance(
        value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp
    )


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement or a call changes in place."""
    written: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        written = node.targets
    elif isinstance(node, ast.AugAssign):
        written = [node.target]
        yield node.target
    for target in written:
        if isinstance(target, ast.Subscript):
            yield target.value
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute) and CHANGES.fullmatch(called.attr):
        yield called.value


def _target(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"self.{node.attr}" if node.value.id in ("self", "cls") else ""
    return node.id if isinstance(node, ast.Name) else ""


def _is_bound(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_own(node: ast.AST) -> bool:
    """Whether an attribute of an instance is set, which hides that of the class."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _is_endless(decorator: ast.expr) -> bool:
    """functools.cache, or lru_cache(None)."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name == "lru_cache" and isinstance(decorator, ast.Call):
        sizes = [*decorator.args[:1], *(k.value for k in decorator.keywords if k.arg == "maxsize")]
        return any(isinstance(size, ast.Constant) and size.value is None for size in sizes)
    return name == "cache"
