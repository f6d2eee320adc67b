"""Finds the examples in the docs: fenced code blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- example: [^\n]*-->")
INDENTED = re.compile(r"(?:^|\n)\n( {4,}[^\s*-][^\n]*)")
ENDS = frozenset({"&&", "||", "|", ";", "&", "(", ")", "{", "}", "|&", ";;"})
PREFIXES = frozenset({"sudo", "export", "env", "exec"})


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page. line: number of its first line. kind: the word after the fence, such
    as "toml". info: the text after the kind, such as a title. exampled: whether the block belongs to an
    example (file, profile and readings) that a mark `<!-- example: ... -->` announces."""

    page: Path
    line: int
    kind: str
    info: str
    text: str
    exampled: bool

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def title(self) -> str | None:
        found = re.search(r'title="([^"]+)"', self.info)
        return found[1] if found else None


FROM_ROOT = {"changelog.md": "CHANGELOG.md", "architecture.md": "ARCHITECTURE.md"}
"""Pages of the site whose files are not in docs/: name of the page -> file in the root of the repository.
Their links to docs/ are adapted."""
CHECKED = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "RELEASING.md", "SECURITY.md")
"""Files outside of docs/ whose links and examples are checked too."""


def pages() -> list[Path]:
    return [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in CHECKED)]


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    marks = [found.end() for found in MARK.finditer(text)]
    found = list(FENCE.finditer(text))
    starts = [match.start() for match in found]
    exampled: set[int] = set()
    for mark in marks:
        exampled.update([start for start in starts if start >= mark][:3])
    return [
        Block(
            page,
            text.count("\n", 0, match.start()) + 1,
            match[2],
            match[3],
            re.sub(rf"^{match[1]}", "", match[4], flags=re.MULTILINE),
            match.start() in exampled,
        )
        for match in found
    ]


def indented(page: Path) -> list[str]:
    """Return the indented code lines of a page that are not in a fenced block. Code must be fenced,
    because only fenced code is checked."""
    text = FENCE.sub("", page.read_text("utf-8"))
    return [match[1].strip() for match in INDENTED.finditer(text)]


def commands(shell: str) -> Iterator[list[str]]:
    """Yield each simple command of a shell script as a list of words, without `sudo`, without assignments
    before the command, and without redirections."""
    joined = re.sub(r"\\\n\s*", " ", shell.replace("2>&1", ""))
    inner = re.sub(r"\$\(([^()]*(?:\([^()]*\))?[^()]*)\)", lambda m: f" ; {m[1]} ; ", joined)
    for line in (*joined.splitlines(), *(inner.splitlines() if inner != joined else ())):
        words: list[str] = []
        for word in (*_words(line), ";"):
            if word not in ENDS:
                words.append(word)
                continue
            if bare := _bare(words):
                yield bare
            words = []


def _words(line: str) -> list[str]:
    split = shlex.shlex(line, posix=True, punctuation_chars="();|&")
    split.whitespace_split = True
    split.commenters = "#"
    return list(split)


def _bare(words: list[str]) -> list[str]:
    while words and (words[0] in PREFIXES or re.match(r"^\w+=", words[0])):
        skip = 3 if words[:2] == ["sudo", "-u"] else 1
        words = words[skip:]
    stop = next((n for n, word in enumerate(words) if re.match(r"^\d?[<>]", word)), len(words))
    return words[:stop]
