"""Which rows of a chunk are accepted, and why the others are not.

The unit of account is the reading: each cell that measures something is accepted, rejected or
missing (an empty cell or one of the file's markers is no reading and no fault). A row that cannot be
read at all (no time, no sensor) is one reject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import clocktime, numbers
from sensorflow.core.formats.chunk import Chunk, Reject
from sensorflow.core.profile import Origin, Profile
from sensorflow.core.readings import NS
from sensorflow.errors import Code

Codes = npt.NDArray[np.object_]

_REASONS = {
    Code.TIMESTAMP_MISSING: "the time is missing",
    Code.TIMESTAMP_UNREADABLE: "{cell!r} is no time in the format {format!r}",
    Code.TIMESTAMP_OUT_OF_RANGE: "{cell!r} lies outside of the years 1900 to 2199",
    Code.TIMESTAMP_NONEXISTENT: "{cell!r} does not exist in {zone}: the clock was put forward",
    Code.TIMESTAMP_AMBIGUOUS: "{cell!r} exists twice in {zone}: the clock was put back",
    Code.TIMESTAMP_NO_ZONE: "{cell!r} has no offset, and the profile gives no zone",
    Code.VALUE_NOT_A_NUMBER: "{cell!r} is not a number",
    Code.VALUE_NOT_REPRESENTABLE: "{cell!r} does not fit a double",
    Code.VALUE_NOT_FINITE: "{cell!r} is not finite",
    Code.SENSOR_MISSING: "the sensor's id is missing",
    Code.TYPE_MISSING: "the reading's type is missing",
    Code.NUL_BYTE: "a NUL character in the sensor's id, the type or the unit",
}


@dataclass(frozen=True)
class Accepted:
    """bronze: the accepted rows (see `bronze_schema`). missing: cells that hold no reading."""

    bronze: pa.RecordBatch
    rejects: list[Reject]
    missing: int


def bronze_schema(profile: Profile) -> pa.Schema:
    """line_no, ts (UTC), sensor_id; then, long: reading_type, unit, value; wide: the columns as named
    in the file, a null where there is no reading. Values stand in the file's own units."""
    head = [("line_no", pa.int64()), ("ts", NS), ("sensor_id", pa.string())]
    if profile.wide:
        return pa.schema([*head, *((name, pa.float64()) for name in profile.columns)])
    tail = [("reading_type", pa.string()), ("unit", pa.string()), ("value", pa.float64())]
    return pa.schema([*head, *tail])


def accept(chunk: Chunk, profile: Profile, file_name: str) -> Accepted:
    """Judge every row of a chunk. file_name: for the parts that the profile takes from it."""
    count = len(chunk)
    cells = {name: _numbers(chunk.columns[name], profile) for name in profile.value_columns}
    judged = _any([_present(n) for n in cells.values()], count)
    time = _instants(chunk.columns[profile.time.column], profile)
    sensor = _texts(profile.sensor, chunk, file_name)
    row_codes = np.where(judged, time.codes, "").astype(object)
    _require(sensor, judged, row_codes, Code.SENSOR_MISSING)
    kind = unit = None
    if not profile.wide:
        assert profile.type is not None
        kind = _texts(profile.type, chunk, file_name)
        unit = _texts(profile.unit, chunk, file_name)
        _require(kind, judged, row_codes, Code.TYPE_MISSING)
    for text in (sensor, kind, unit):
        if text is not None:
            _refuse_nul(text, judged, row_codes)
    good_row = judged & (row_codes == "")
    rejects = list(chunk.rejects)
    rejects += _row_rejects(chunk, profile, row_codes)
    for name, found in cells.items():
        rejects += _cell_rejects(chunk, name, np.where(good_row, found.codes, ""))
    kept = good_row & _any([_valid(n) for n in cells.values()], count)
    lead = [pa.array(chunk.lines), time.ts, sensor]
    middle = [] if kind is None or unit is None else [kind, pc.fill_null(unit, "")]
    arrays = [*lead, *middle, *(n.values for n in cells.values())]
    rows = pa.RecordBatch.from_arrays(arrays, schema=bronze_schema(profile))
    if not kept.all():
        rows = rows.filter(pa.array(kept))
    rejects.sort(key=lambda r: (r.line_no or 0, r.byte_offset or 0))
    return Accepted(rows, rejects, sum(int((~_present(n)).sum()) for n in cells.values()))


def _numbers(column: pa.Array, profile: Profile) -> numbers.Numbers:
    if pa.types.is_string(column.type):
        return numbers.parse(column, profile.missing)
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return numbers.from_floats(column, profile.missing)
    return numbers.parse(_as_text(column), profile.missing)


def _instants(column: pa.Array, profile: Profile) -> clocktime.Instants:
    kind, time = column.type, profile.time
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return clocktime.from_timestamps(column, time.zone, time.ambiguous)
    text = column if pa.types.is_string(kind) else _as_text(column)
    if profile.missing:
        text = pc.if_else(pc.is_in(text, value_set=pa.array(profile.missing)), None, text)
    return clocktime.parse(text, time.format, time.zone, time.ambiguous)


def _as_text(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [None if v is None else str(v) for v in column.to_pylist()]
        return pa.array(texts, pa.string())


def _texts(origin: Origin, chunk: Chunk, file_name: str) -> pa.Array:
    """The text of each row, null where it has none; spaces around it are not part of it."""
    if origin.column is not None:
        column = chunk.columns[origin.column]
        text = column if pa.types.is_string(column.type) else _as_text(column)
        text = pc.utf8_trim_whitespace(text)
        return pc.if_else(pc.equal(text, ""), None, text)
    found = origin.constant
    if origin.file_name is not None:
        found = _in_name(origin, file_name)
    if found is None:
        return pa.nulls(len(chunk), pa.string())
    return pa.repeat(found, len(chunk))


def _in_name(origin: Origin, file_name: str) -> str | None:
    match = re.search(origin.file_name or "", file_name)
    return match.group(1) if match else None


def _present(found: numbers.Numbers) -> npt.NDArray[np.bool_]:
    """A reading or a reject: anything but a missing cell."""
    return _valid(found) | np.asarray(found.codes != "", np.bool_)


def _valid(found: numbers.Numbers) -> npt.NDArray[np.bool_]:
    return np.asarray(found.values.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def _any(masks: list[npt.NDArray[np.bool_]], count: int) -> npt.NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce([np.zeros(count, np.bool_), *masks]), np.bool_)


def _require(texts: pa.Array, judged: npt.NDArray[np.bool_], codes: Codes, code: Code) -> None:
    absent = texts.is_null().to_numpy(zero_copy_only=False)
    codes[judged & absent & (codes == "")] = code


def _refuse_nul(texts: pa.Array, judged: npt.NDArray[np.bool_], codes: Codes) -> None:
    """JSON and Parquet can hold a NUL character; a database's text cannot."""
    found = pc.match_substring(texts, "\0").fill_null(False).to_numpy(zero_copy_only=False)
    codes[judged & found & (codes == "")] = Code.NUL_BYTE


def _row_rejects(chunk: Chunk, profile: Profile, codes: Codes) -> Iterator[Reject]:
    places = {
        Code.SENSOR_MISSING: profile.sensor.column,
        Code.TYPE_MISSING: profile.type.column if profile.type else None,
    }
    for row in np.flatnonzero(codes != "").tolist():
        code = Code(codes[row])
        column = places.get(code, profile.time.column)
        cell = "" if column is None else chunk.columns[column][row].as_py()
        reason = _REASONS[code].format(
            cell=str(cell)[:100], format=profile.time.format, zone=profile.time.zone
        )
        offset, raw = chunk.spot(row)
        yield Reject(int(chunk.lines[row]), offset, column, code, reason, raw)


def _cell_rejects(chunk: Chunk, column: str, codes: Codes) -> Iterator[Reject]:
    for row in np.flatnonzero(codes != "").tolist():
        code = Code(codes[row])
        reason = _REASONS[code].format(cell=str(chunk.columns[column][row].as_py())[:100])
        offset, raw = chunk.spot(row)
        yield Reject(int(chunk.lines[row]), offset, column, code, reason, raw)
