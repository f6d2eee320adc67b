"""Reads XML documents. The elements at one path are the records. A file with a document type declaration is
rejected, so there are no entities to expand.

Only one record is in memory at a time, together with the texts outside the record that the profile uses. A
path from the root ("$.feed.entry.title") leads to a text before the record. The first steps of this path
may be those of the records' path: the text is then in the same element as the record. "$..ReadingType.uom"
leads to a text that occurs once in the document. An additional pass reads it before the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from sensorflow.core import elementpath
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.elementpath import ANYWHERE, Step, Steps, alternatives
from sensorflow.core.formats.around import Around, Once
from sensorflow.core.formats.chunk import RAW_LIMIT, Chunk, Spot, text_of
from sensorflow.core.formats.elements import Element, reach
from sensorflow.core.formats.events import Handler, parsed
from sensorflow.core.formats.mixed import Texts
from sensorflow.core.formats.records import ROWS, Columns, Record, references
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

MAX_BYTES = 8 << 20
"""A chunk ends when its records reach this size in bytes, even if it has fewer than `ROWS` records."""
Found = tuple[int, Record, Callable[[], Spot]]


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    """Yield the chunks of an XML document. stream: seekable. The line number of a record is the line in
    which the record's element begins."""
    texts, values = references(profile)
    named = list(dict.fromkeys([*texts, *values]))
    paths = [path for name in named for path in alternatives(name)]
    once = _once(stream, profile, [path for path in paths if path.startswith(ANYWHERE)])
    records = steps(profile.records or "")
    reading = _Records(profile, records, [p for p in paths if p.startswith("$") and p not in once])
    columns = Columns(profile, resolve)
    # a name may consist of several alternative paths; each of them is known to the profile
    columns.getters = {n: _getter(n, once, len(records)) for n in [*named, *paths]}
    rows = 0
    for _ in parsed(stream, profile, reading):
        if len(reading.found) >= ROWS or reading.held_bytes >= MAX_BYTES:
            rows += len(reading.found)
            yield from columns.chunks(reading.take_found(), [])
    rows += len(reading.found)
    if not reading.begun:
        return
    if rows == 0:
        do = "correct records in the profile, which is the path to the record elements, then replay"
        raise Permanent(
            Code.COLUMN_MISSING,
            f"the document has no element at records = {profile.records!r}",
            do=do,
        )
    yield from columns.chunks(reading.take_found(), [])
    columns.finish()


def steps(path: str) -> Steps:
    """Parse a path. Raises Permanent if the profile's path is invalid."""
    try:
        return elementpath.steps(path)
    except ValueError as error:
        do = "correct the path in the profile, then replay"
        raise Permanent(Code.COLUMN_MISSING, str(error), do=do) from error


def _getter(name: str, once: dict[str, str | None], depth: int) -> Callable[[Record], Any]:
    """Return a function that evaluates a column's name in a record."""
    found = [
        (path, () if path in once else steps(path), once.get(path)) for path in alternatives(name)
    ]

    def get(record: Record) -> Any:
        around: dict[str, Any] = record.above[0]
        for path, within, constant in found:
            value = record.value.get(path) if path else None
            if value is None or not isinstance(value, str):
                if path in once:
                    value = constant
                elif path in around:
                    value = around[path]
                else:
                    inner = within[depth:] if path.startswith("$") else within
                    value = reach(record.value, inner, record.keys[0])
            if value is not None:
                return value
        return None

    return get


def _once(stream: BinaryIO, profile: Profile, paths: list[str]) -> dict[str, str | None]:
    """Return path -> text, for paths that may begin at any element. Raises Permanent if a path leads to
    different texts."""
    if not paths:
        return {}
    found = {path: Once(path) for path in paths}
    for _ in parsed(stream, profile, _Ahead(profile, list(found.values()))):
        pass
    return {path: once.text for path, once in found.items()}


class _Ahead(Handler):
    def __init__(self, profile: Profile, wanted: list[Once]) -> None:
        super().__init__(profile)
        self._wanted = wanted
        self._names: list[str] = []
        self._texts = Texts()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._names.append(name)
        matches = [once.begin(self._names, attributes, self.line) for once in self._wanted]
        self._texts.start(any(matches))

    def end(self, name: str) -> None:
        text = self._texts.end()
        if text is not None:
            for once in self._wanted:
                once.close(self._names, text, self.line)
        self._names.pop()

    def text(self, data: str) -> None:
        self.limited(self._texts.add(data))


class _Open:
    """An open element within a record. key: the element's name. node: its children and attributes, or
    None if it has none."""

    __slots__ = ("key", "node")

    def __init__(self, key: str, node: Element | None) -> None:
        self.key, self.node = key, node


class _Records(Handler):
    """Collects the records of a document. found: the complete records that have not been yielded.
    held_bytes: the size in bytes that these records have in the file."""

    def __init__(self, profile: Profile, records: Steps, absolute: list[str]) -> None:
        super().__init__(profile)
        self._steps = records
        self._around = Around(records, absolute)
        named = [*absolute, *(name for group in references(profile) for name in group)]
        self._qualified = {s.name for name in named for s in _steps_of(name) if ":" in s.name}
        self._matched = 0
        self._places: list[dict[str, int]] = [{}]
        self._open: list[_Open] = []
        self._within, self._beside = Texts(), Texts()
        self._began = (0, 0, "")
        self._window, self._base = b"", 0
        self.found: list[Found] = []
        self.held_bytes = 0

    def take_found(self) -> list[Found]:
        found, self.found, self.held_bytes = self.found, [], 0
        return found

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._open:
            self._open.append(_Open(self._key(name), self._attributed(attributes)))
        else:
            self._follow(name, attributes)
        if self._open:
            self._within.start()
        if self._around.deepest:
            is_near = self.depth <= self._around.deepest
            is_near = is_near and self._around.start(self.depth, name, attributes, self.line)
            self._beside.start(is_near)

    def _follow(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element outside the records: check whether the element is the next step
        on the path to the records."""
        step = self._steps[self.depth - 1] if self.depth <= len(self._steps) else None
        if step is None or self._matched != self.depth - 1 or not step.fits(name):
            return
        if step.place is not None:
            counts = self._places[self.depth - 1]
            counts[step.name] = counts.get(step.name, -1) + 1
            if counts[step.name] != step.place:
                return
        self._matched = self.depth
        del self._places[self.depth :]
        self._places.append({})
        if self._matched == len(self._steps):
            self._began = (self.offset, self.line, name.rpartition(":")[2])
            self._open.append(_Open("", self._attributed(attributes) or Element()))

    def end(self, name: str) -> None:
        if self._open:
            self._close()
        text = self._beside.end() if self._around.deepest else None
        if self.depth <= self._around.deepest:
            self._around.end(self.depth, text or "", self.line)
        if self._matched == self.depth:
            self._matched -= 1
            self._around.leave(self.depth)

    def _close(self) -> None:
        done = self._open.pop()
        text = self._within.end() or ""
        if done.node is not None:
            done.node.text = text
        if self._open:
            above = self._open[-1]
            if above.node is None:
                above.node = Element()
            above.node.add(done.key, text if done.node is None else done.node)
            return
        self._too_large()
        offset, line, name = self._began
        size = self.offset - offset
        at = self.bytes + offset
        raw = self._raw(offset)
        record = Record(done.node, (self._around.values(),), (name,))
        self.found.append((line, record, lambda: Spot(at, text_of(raw))))
        self.held_bytes += size

    def text(self, data: str) -> None:
        if self._open:
            self._within.add(data)
        if self._around.deepest:
            self.limited(self._beside.add(data))

    def _key(self, name: str) -> str:
        return name if name in self._qualified else name.rpartition(":")[2]

    def _attributed(self, attributes: dict[str, str]) -> Element | None:
        attributed: Element | None = None
        for name, value in attributes.items():
            if not name.startswith("xmlns"):
                attributed = Element() if attributed is None else attributed
                key = f"@{name}" if f"@{name}" in self._qualified else f"@{name.rpartition(':')[2]}"
                attributed[key] = value.strip()
        return attributed

    def fed(self, data: bytes) -> None:
        start = self._began[0] if self._open else self.offset
        window = self._window[max(0, start - self._base) :]
        if self._open and len(window) > 4 * RAW_LIMIT:
            return  # only the beginning of a large record is stored
        self._base += len(self._window) - len(window)
        self._window = window + data

    def _raw(self, start: int) -> bytes:
        """Return the text of the record that ends at the current position, as written in the file.
        start: the offset of the record."""
        end = self._window.find(b">", self.offset - self._base) + 1
        return self._window[start - self._base : end or None][: 4 * RAW_LIMIT]

    def checked(self) -> None:
        if self._open:
            self._too_large()

    def _too_large(self) -> None:
        limit = self.profile.max_record
        if self.offset - self._began[0] > limit:
            do = "if the file is valid, raise max_record, then replay"
            what = f"a record is longer than {limit:,} bytes"
            raise Permanent(Code.TOO_DEEP, what, do=do, line=self._began[1])


def _steps_of(reference: str) -> Iterator[Step]:
    for path in alternatives(reference):
        yield from steps(path)
