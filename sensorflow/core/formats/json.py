"""Reads the records at a path of a JSON document (RFC 8259), or of several consecutive documents.

ijson streams a document: only one element of the first list on the path is in memory at a time. `Guarded`
limits the nesting depth and the sizes of strings and elements before the parser reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO

import ijson

from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats import listed
from sensorflow.core.formats.chunk import Chunk, Number, Spot
from sensorflow.core.formats.encoding import utf8
from sensorflow.core.formats.guarded import Guarded
from sensorflow.core.formats.json_elements import find
from sensorflow.core.formats.keys import Members, Place, duplicate_key, duplicate_key_in
from sensorflow.core.formats.records import (
    EVERY,
    ROWS,
    Columns,
    Path,
    Record,
    explode,
    is_empty_record,
    path,
    raw_of,
    references,
)
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

Found = tuple[int, Record, Callable[[], Spot]]


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    """Yield the chunks of JSON documents. stream: seekable. The line number of a record is the record's
    number in the file, from 1."""
    first = _first(stream, profile)
    if first == b"":
        return
    steps = (
        path(profile.records)
        if profile.records is not None
        else ((EVERY,) if first == b"[" else ())
    )
    cut = find(stream, profile, steps) if profile.orient == "records" else None
    if cut is not None:
        if (yield from listed.chunks(stream, profile, resolve, steps, cut)) == 0:
            _check_empty(stream, profile, steps)
        return
    outside = _outside(stream, profile, steps)
    columns = Columns(profile, resolve, steps, outside or {})
    found: list[Found] = []
    rows = 0
    for record in _records(stream, profile, steps, is_whole_document=outside is None):
        rows += 1
        found.append((rows, record, _spot(record)))
        if len(found) >= ROWS:
            yield from columns.chunks(found, [])
            found = []
    if rows == 0:
        _check_empty(stream, profile, steps)
        return
    yield from columns.chunks(found, [])
    columns.finish()


def _check_empty(stream: BinaryIO, profile: Profile, steps: Path) -> None:
    """Raise Permanent for a document without records, unless the profile accepts such documents and the
    list of records exists."""
    if profile.allow_empty and _is_empty(stream, profile, steps):
        return
    where = f"nothing at records = {profile.records!r}" if profile.records else "no record"
    do = (
        "correct records in the profile, which is the path to the list of records, then replay; to "
    )
    do += "accept files without records, set allow_empty = true"
    raise Permanent(Code.COLUMN_MISSING, f"the document has {where}", do=do)


def _is_empty(stream: BinaryIO, profile: Profile, steps: Path) -> bool:
    """Return, for a document without records, whether the lists exist in which the records would be."""
    listed = profile.orient == "columns"
    return all(is_empty_record(value, steps, listed) for value in items(stream, profile, "", 0))


def _spot(record: Record) -> Callable[[], Spot]:
    return lambda: raw_of(record)


def _first(stream: BinaryIO, profile: Profile) -> bytes:
    stream.seek(0)
    return utf8(stream, profile.encoding).read(4096).lstrip()[:1]


def _plain(value: Any) -> Any:
    """Convert the numbers in a value to texts. ijson returns numbers as int or Decimal, so that all
    digits are preserved."""
    if isinstance(value, dict):
        plain = {key: _plain(member) for key, member in value.items()}
        twice = getattr(value, "twice", None)
        return plain if twice is None else Members.of(plain, twice)
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        is_moderate = (
            isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 30
        )
        return Number(format(value, "f") if is_moderate else value)
    return value


def items(stream: BinaryIO, profile: Profile, prefix: str, depth: int) -> Iterator[Any]:
    """Yield the values at `prefix`, a path in ijson's notation. depth: the number of lists and objects
    around these values. Raises Permanent UNREADABLE if the document is not valid JSON."""
    stream.seek(0)
    yield from _items(Guarded(utf8(stream, profile.encoding), profile, depth), prefix)


def _items(plain: Guarded, prefix: str) -> Iterator[Any]:
    try:
        for value in ijson.items(
            plain, prefix, map_type=Members, multiple_values=True, buf_size=1 << 16
        ):
            yield _plain(value)
    except (ijson.JSONError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        raise Permanent(
            Code.UNREADABLE, f"not JSON: {' '.join(str(error).split())[:300]}"
        ) from error


def _records(
    stream: BinaryIO, profile: Profile, steps: Path, is_whole_document: bool = False
) -> Iterator[Record]:
    """Yield the records. Only one element of the first list on the path is in memory at a time.
    is_whole_document: whether each document is loaded entirely instead."""
    head = steps[: steps.index(EVERY)] if EVERY in steps else steps
    plain = all(isinstance(step, str) and "." not in step for step in head)
    if is_whole_document or profile.orient == "columns" or EVERY not in steps or not plain:
        prefix = ""
        for document in items(stream, profile, prefix, 0):
            for record in explode(document, steps):
                yield from _rows(record, profile)
        return
    prefix = ".".join(map(str, head))
    rest = steps[len(head) + 1 :]
    # the prefix "a.item" streams a list; an object at "a" is read at once below
    listed = f"{prefix}.item" if prefix else "item"
    some = False
    for index, value in enumerate(items(stream, profile, listed, len(head) + 1)):
        some = True
        above = (None,) * len(head) + (None,)
        yield from explode(value, rest, above, (Place(index),))
    if not some:
        for value in items(stream, profile, prefix, len(head)):
            if isinstance(value, dict):
                yield from explode(value, (EVERY, *rest), (None,) * len(head))


def _rows(record: Record, profile: Profile) -> Iterator[Record]:
    """Yield the records that a record contains. With orient = "columns", yield one record for each index of
    the record's lists, which must have equal length. Otherwise, yield the record itself."""
    if profile.orient == "records":
        yield record
        return
    value = record.value if isinstance(record.value, dict) else {}
    lists = {key: member for key, member in value.items() if isinstance(member, list)}
    lengths = {len(member) for member in lists.values()}
    if len(lengths) > 1:
        sizes = ", ".join(f"{key}: {len(member)}" for key, member in lists.items())[:300]
        raise Permanent(
            Code.UNREADABLE,
            f"the lists have different lengths: {sizes}",
            do="correct records in the profile; if the lists are not columns, remove orient; then replay. "
            "If the file is broken, request it again from its sender",
        )
    for index in range(max(lengths, default=0)):
        row = {key: member[index] for key, member in lists.items()}
        yield Record(row, (*record.above, value), (*record.keys, Place(index)))


def _outside(stream: BinaryIO, profile: Profile, steps: Path) -> dict[str, Any] | None:
    """Return absolute path -> value, for values outside the streamed list. They are read in a separate
    pass, before the records. Returns None if there are several documents, because each document has its
    own values."""
    texts, values = references(profile)
    head = len(steps[: steps.index(EVERY)]) + 1 if EVERY in steps else 0
    found: dict[str, Any] = {}
    for reference in dict.fromkeys((*texts, *values)):
        wanted = path(reference)
        if not reference.startswith("$") or not head or wanted[:head] == steps[:head]:
            continue
        places = (i for i, s in enumerate(wanted) if not isinstance(s, str) or s == EVERY)
        plain = wanted[: next(places, len(wanted))]
        stream.seek(0)
        guarded = Guarded(utf8(stream, profile.encoding), profile, len(plain))
        documents = list(islice(_items(guarded, ".".join(map(str, plain))), 2))
        while guarded.read():  # to count the documents
            pass
        if guarded.documents > 1:
            return None
        if len(documents) > 1 or (key := duplicate_key_in(documents)) is not None:
            key = str(plain[-1]) if len(documents) > 1 else key
            do = "request the file again from its sender, and report this error to the sender"
            raise Permanent(Code.UNREADABLE, f"{duplicate_key(str(key))}: {reference}", do=do)
        record = next(explode(documents[0], wanted[len(plain) :]), None) if documents else None
        found[reference] = record.value if record else None
    return found
