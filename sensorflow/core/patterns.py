"""Searches file content for a profile's regular expressions, in bounded time.

The expressions have the syntax of Python's `re`. But `re` backtracks, cannot be interrupted, and holds the
interpreter lock. It is therefore used only if the pattern and the text's length guarantee few steps.
Otherwise the package `regex` is used, which gives up after `TIMEOUT_SECONDS`. The pattern is translated to
the dialect of `regex`, so that both engines find the same matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any

from sensorflow.core.steps import steps
from sensorflow.errors import Code, Permanent

TIMEOUT_SECONDS = 5.0
"""Time limit of a search in seconds."""
STEPS_PER_SECOND = 20_000_000
"""Number of steps that take `re` about one second."""
LENGTHS = tuple(1 << power for power in range(21))
LINES = int(re.MULTILINE)


Match = re.Match[str]
"""A match from `re` or from `regex`. The methods that sensorflow uses are the same in both libraries."""


class Pattern:
    """A compiled pattern."""

    def __init__(self, text: str, flags: int = 0) -> None:
        """Compile a pattern. Raises re.error if it is invalid."""
        self.text = text
        self._re = re.compile(text, flags)
        self._engines: dict[bool, Any] = {}
        self._safe = max(
            (n for n in LENGTHS if steps(text, flags, n) <= STEPS_PER_SECOND), default=0
        )

    def search(self, text: str) -> Match | None:
        """Search a text like `re.search`. Raises Permanent PATTERN_TOO_SLOW."""
        if len(text) <= self._safe:
            return self._re.search(text)
        engine = self._engine(text.isascii())
        if engine is None:
            return self._re.search(text)
        try:
            found: Match | None = engine.search(text, timeout=TIMEOUT_SECONDS, concurrent=True)
        except TimeoutError:
            what = f"the search for the pattern {self.text!r} took more than {TIMEOUT_SECONDS:g} s "
            what += f"in a text of {len(text):,} characters: {text[:100]!r}"
            raise Permanent(Code.PATTERN_TOO_SLOW, what) from None
        return found

    def _engine(self, ascii_only: bool) -> Any:
        """Return the pattern compiled by `regex`, or None if it has no equivalent there.

        The two libraries differ, for example, in case-insensitive letters outside ASCII.
        """
        if ascii_only not in self._engines:
            self._engines[ascii_only] = self._compiled_engine(ascii_only)
        return self._engines[ascii_only]

    def _compiled_engine(self, ascii_only: bool) -> Any:
        import regex  # half of all workers never need it

        flags = self._re.flags
        try:
            translated_text = translated(self.text, ascii_only or bool(flags & re.ASCII))
            return regex.compile(translated_text, _flags(flags) | regex.V0)
        except (Untranslatable, regex.error):
            return None


@lru_cache(1024)
def compiled(text: str, flags: int = 0) -> Pattern:
    """Compile a pattern. Raises re.error if it is invalid."""
    return Pattern(text, flags)


def search(pattern: str, text: str, flags: int = 0) -> Match | None:
    """Search a text like `re.search`. Raises re.error or Permanent PATTERN_TOO_SLOW."""
    return compiled(pattern, flags).search(text)


def found_in(pattern: Pattern, text: str, line: int) -> bool:
    """Return whether a line of a file contains a match of the pattern. line: the number of the line.

    Raises Permanent PATTERN_TOO_SLOW; the error's place contains this number.
    """
    try:
        return pattern.search(text) is not None
    except Permanent as error:
        error.place["line"] = line
        raise


def _flags(flags: int) -> int:
    """Convert flags of `re` to flags of `regex`. The names of the flags are equal, but the values
    differ."""
    import regex

    names = ("ASCII", "IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE", "UNICODE")
    return sum(int(getattr(regex, name)) for name in names if flags & getattr(re, name))


class Untranslatable(Exception):
    """Raised if `regex` would interpret the pattern differently."""


_TOKEN = re.compile(
    r"(?P<name>\\N\{[^}]*\})"
    r"|(?P<escape>\\.)"
    r"|(?P<comment>\(\?\#[^)]*\))"
    r"|(?P<flags>\(\?[aiLmsux]*(?:-[imsx]+)?[:)])"
    r"|(?P<count>\{(?:\d+(?:,\d*)?|,\d*)\})"
    r"|(?P<set>\[\^?\]?)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_MEMBER = re.compile(r"(?P<name>\\N\{[^}]*\})|(?P<escape>\\.)|(?P<end>\])|(?P<other>.)", re.DOTALL)
_CLASSES = "wsd"


def translated(pattern: str, ascii_only: bool) -> str:
    """Translate a valid `re` pattern to `regex`. Raises Untranslatable.

    In `regex`, {e} (fuzzy matching) and [[:alpha:]] (a class) have a special meaning, so these characters
    are escaped. ascii_only: the searched text is ASCII; otherwise \\w, \\d and \\s become explicit ranges.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        assert token is not None
        at, text = token.end(), token[0]
        if token.lastgroup == "flags" and ("x" in text or ("i" in text and not ascii_only)):
            raise Untranslatable("verbose mode, or case-insensitive letters outside ASCII")
        if token.lastgroup == "set":
            members, at = _members(pattern, at, ascii_only)
            out.append(text + members)
        elif token.lastgroup == "escape":
            out.append(_escape(text, ascii_only))
        elif token.lastgroup != "comment":
            out.append("\\{" if text == "{" else text)
    return "".join(out)


def _members(pattern: str, at: int, ascii_only: bool) -> tuple[str, int]:
    """Translate the members of a set. at: the offset after the opening bracket. Also returns the offset
    where the set ends."""
    out: list[str] = []
    while True:
        token = _MEMBER.match(pattern, at)
        if token is None:
            raise Untranslatable("a set without an end")
        at, text = token.end(), token[0]
        if token.lastgroup == "escape" and text[1].lower() in _CLASSES:
            out.append(_class(text[1], ascii_only))
        else:
            out.append("\\[" if text == "[" else text)
        if token.lastgroup == "end":
            return "".join(out), at


def _escape(text: str, ascii_only: bool) -> str:
    letter = text[1]
    if letter.lower() in _CLASSES:
        return f"[{_class(letter, ascii_only)}]"
    if letter in "bB" and not ascii_only:
        word = f"[{_class('w', False)}]"
        edge = f"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"
        return edge if letter == "b" else f"(?!{edge})"
    return text


def _class(letter: str, ascii_only: bool) -> str:
    """Return the members of \\w, \\s, \\d or their complements, as `re` defines them."""
    if ascii_only:
        # \s: only `re` counts the ASCII separators (1c to 1f) as white space
        return {"s": r"\s\x1c-\x1f", "S": _spans("S", 0x80)}.get(letter, f"\\{letter}")
    return _spans(letter, 0x110000)


@lru_cache(16)
def _spans(letter: str, end: int) -> str:
    """Return the characters of a class as ranges, such as "\\U00000041-\\U0000005a". Only code points below
    `end` are included."""
    one = re.compile(f"\\{letter}")
    found = (code for code in range(end) if one.match(chr(code)))
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in _runs(found))


def _runs(codes: Iterable[int]) -> Iterator[tuple[int, int]]:
    for _, run in groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0]):
        members = [code for _, code in run]
        yield members[0], members[-1]
