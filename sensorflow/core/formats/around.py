"""Texts outside the records of an XML document. They are in elements that contain records, or in other
elements within these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sensorflow.core.elementpath import NAME, Steps, steps
from sensorflow.errors import Code, Permanent


class _PathTexts:
    """Collects the texts at one path from the root. scope: the number of steps at the beginning of the
    path that are equal to those of the records' path. These steps lead to an element; the texts apply to
    the records in this element."""

    def __init__(self, path: str, records: Steps) -> None:
        self.path = path
        found = steps(path)
        self.last = found[-1] if found and found[-1].is_last else None
        self.steps = found[:-1] if self.last else found
        self.scope = 0
        for mine, theirs in zip(self.steps, records, strict=False):
            if mine != theirs:
                break
            self.scope += 1
        self.matched = 0
        self.places: dict[int, int] = {}
        self.used = False
        self.found: dict[str, None] = {}

    def begin(self, depth: int, name: str, attributes: dict[str, str], line: int) -> bool:
        """Handle the start of an element. Returns whether a text was added."""
        if self.matched != depth - 1 or depth > len(self.steps):
            return False
        step = self.steps[depth - 1]
        if not step.fits(name):
            return False
        if step.place is not None:
            place = self.places[depth] = self.places.get(depth, -1) + 1
            if place != step.place:
                return False
        self.matched = depth
        self.places = {d: n for d, n in self.places.items() if d <= depth}
        if depth != len(self.steps) or self.last is None:
            return False
        if self.last.name == NAME:
            return self.add(name.rpartition(":")[2], line)
        values = [attributes[a] for a in attributes if self.last.fits(f"@{a}") or self._bare(a)]
        return sum(self.add(text.strip(), line) for text in values) > 0

    def _bare(self, attribute: str) -> bool:
        return self.last is not None and self.last.fits("@" + attribute.rpartition(":")[2])

    def is_text(self, depth: int) -> bool:
        """Return whether the path selects the text of the open element (and not one of its attributes)."""
        return self.matched == depth == len(self.steps) and self.last is None

    def close(self, depth: int, text: str, line: int) -> bool:
        if self.matched != depth:
            return False
        is_text = self.is_text(depth)
        self.matched -= 1
        return is_text and self.add(text, line)

    def add(self, text: str, line: int) -> bool:
        if text in self.found or not text:
            return False
        if self.used:
            raise Permanent(
                Code.COLUMN_MISSING,
                f"a value of {self.path!r} comes after its records, in line {line:,}: {text[:100]!r}",
                line=line,
                do=f'if it applies to the whole file, use the path "$..{self.steps[-1].name}" in the '
                "profile, which is read before the records; then replay",
            )
        self.found[text] = None
        return True

    def forget(self) -> None:
        self.found, self.used = {}, False


class Around:
    """Collects the texts at several paths outside the records. deepest: the number of elements in the
    longest path."""

    def __init__(self, records: Steps, paths: Sequence[str]) -> None:
        wanted = [_PathTexts(path, records) for path in paths]
        # a path that leads into the record is evaluated in the record
        self._paths = [w for w in wanted if w.scope < len(records)]
        self.deepest = max((len(w.steps) for w in self._paths), default=0)
        self._values: dict[str, Any] | None = None

    def start(self, depth: int, name: str, attributes: dict[str, str], line: int) -> bool:
        """Handle the start of an element. Returns whether a path selects the text of this element (and not
        one of its attributes)."""
        if sum(w.begin(depth, name, attributes, line) for w in self._paths):
            self._values = None
        return any(w.is_text(depth) for w in self._paths)

    def end(self, depth: int, text: str, line: int) -> None:
        if sum(w.close(depth, text, line) for w in self._paths):
            self._values = None

    def leave(self, depth: int) -> None:
        """Handle the end of an element that contains records. Discards the texts that apply only to the
        records in this element."""
        for wanted in self._paths:
            if wanted.scope == depth:
                wanted.forget()
                self._values = None

    def values(self) -> dict[str, Any]:
        """Return path -> text for the record that ends at the current position. The value is a list if
        there are several texts, and None if there is no text."""
        if self._values is None:
            self._values = {w.path: _several(w.found) for w in self._paths}
        for wanted in self._paths:
            wanted.used = True
        return self._values


def _several(found: Iterable[str]) -> Any:
    texts = list(found)
    return texts[0] if len(texts) == 1 else texts or None


class Once:
    """Finds the text at a path that may begin at any element, not only at the root. Raises Permanent if
    the path leads to different texts."""

    def __init__(self, path: str) -> None:
        self.path = path
        found = steps(path)
        self._last = found[-1] if found and found[-1].is_last else None
        self._steps = found[:-1] if self._last else found
        self.text: str | None = None
        self._line = 0

    def _fits(self, names: Sequence[str]) -> bool:
        way = self._steps
        if len(names) < len(way):
            return False
        tail = names[len(names) - len(way) :]
        return all(
            step.fits(name) for step, name in zip(reversed(way), reversed(tail), strict=True)
        )

    def begin(self, names: Sequence[str], attributes: dict[str, str], line: int) -> bool:
        """Handle the start of an element. Returns whether the path selects the text of this element (and
        not one of its attributes)."""
        if not self._fits(names):
            return False
        if self._last is not None:
            for name, value in attributes.items():
                if self._last.fits(f"@{name}") or self._last.fits("@" + name.rpartition(":")[2]):
                    self._take(value.strip(), line)
        return self._last is None

    def close(self, names: Sequence[str], text: str, line: int) -> None:
        if self._last is None and self._fits(names):
            self._take(text, line)

    def _take(self, text: str, line: int) -> None:
        if not text or text == self.text:
            return
        if self.text is not None:
            raise Permanent(
                Code.COLUMN_MISSING,
                f"{self.path!r} has different values: {self.text[:100]!r} in line {self._line:,}, "
                f"{text[:100]!r} in line {line:,}",
                line=line,
                do="in the profile, use a path from the root that begins like the path of the records "
                '("$.feed.entry.…"), or ask the sender for one file per value; then replay',
            )
        self.text, self._line = text, line
