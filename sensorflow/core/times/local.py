"""Converts local times to UTC, including local times that occur twice or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.codes import Codes
from sensorflow.core.readings import NS
from sensorflow.core.times.civil import EARLIEST, LATEST, Bools, Int64s, ints
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.timeformats import fixed_offset
from sensorflow.errors import Code


def to_utc(nanos: Int64s, clock: Clock, codes: Codes, where: Bools | None = None) -> Int64s:
    """Convert local times to UTC. where: the rows to convert; None for all. codes: the reject codes; rows
    that are already rejected are not checked. Sets the code of each row that this function rejects.

    Each local time is converted with the zone's offset before a possible transition, and with the offset
    after it. If the two results differ, the local time is ambiguous or nonexistent. Such a time is
    rejected, unless the clock's settings select one of the results.
    """
    if clock.by_row is not None:
        return _each_to_utc(nanos, clock, codes, where)
    open_ = (codes == 0) & (True if where is None else where)
    if clock.clock_shift:
        nanos = nanos + clock.clock_shift
    if clock.zone is None:
        codes[open_] = Code.TIMESTAMP_NO_ZONE.number
        return nanos
    shift = fixed_offset(clock.zone)
    if shift is not None:
        if clock.dst is None:
            return nanos - shift
        codes[open_ & (clock.dst < 0)] = Code.TIMESTAMP_AMBIGUOUS.number
        return nanos - shift - np.where(clock.dst == 1, 3600 * 10**9, 0)
    sane = open_ & (nanos >= EARLIEST) & (nanos < LATEST)
    local = pa.array(np.where(sane, nanos, 0), pa.timestamp("ns"))

    def read(ambiguous: str, never: str) -> Int64s:
        zoned = pc.assume_timezone(local, clock.zone, ambiguous=ambiguous, nonexistent=never)
        return ints(zoned.cast(pa.int64()))

    early, late = read("earliest", "earliest"), read("latest", "earliest")
    after = read("earliest", "latest")
    never = sane & (early != after)
    ambiguous = sane & (early != late)
    by_rule = np.flatnonzero(sane & (nanos >= _BY_RULE))
    if len(by_rule):
        early[by_rule], late[by_rule], never[by_rule], ambiguous[by_rule] = _by_rule(
            nanos[by_rule], clock
        )
    if clock.nonexistent == "reject":
        codes[never] = Code.TIMESTAMP_NONEXISTENT.number
    elif never.any():
        edge = after if clock.nonexistent == "earlier" else early
        by_table = never & (nanos < _BY_RULE)
        early = np.where(by_table, nanos - shift_at(edge, clock.zone), early)
    if clock.dst is not None:
        codes[ambiguous & (clock.dst < 0)] = Code.TIMESTAMP_AMBIGUOUS.number
        return np.where(sane, np.where(ambiguous & (clock.dst == 0), late, early), nanos)
    if clock.ambiguous == "reject":
        codes[ambiguous] = Code.TIMESTAMP_AMBIGUOUS.number
    second = ambiguous & (clock.ambiguous == "later")
    if clock.ambiguous == "order":
        second = clock.order.later(nanos, ambiguous, sane)
    return np.where(sane, np.where(second, late, early), nanos)


def _each_to_utc(nanos: Int64s, clock: Clock, codes: Codes, where: Bools | None) -> Int64s:
    """Convert each row with its own zone."""
    found = nanos.copy()
    for rows, own in clock.of_zones():
        row_codes = codes[rows]
        found[rows] = to_utc(nanos[rows], own, row_codes, None if where is None else where[rows])
        codes[rows] = row_codes
    return found


_BY_RULE = int(np.datetime64("2037-01-01", "ns").astype(np.int64))
"""From this time on, a rule defines the transitions of a zone (RFC 8536, 3.3). Arrow does not support such
rules."""


def _by_rule(nanos: Int64s, clock: Clock) -> tuple[Int64s, Int64s, Bools, Bools]:
    """Convert local times in the far future. Return, for each, the earlier and the later UTC time, whether
    the local time is nonexistent, and whether it is ambiguous."""
    zone = ZoneInfo(clock.zone or "UTC")
    shifts = np.empty((2, len(nanos)), np.int64)
    for index, second in enumerate((nanos // 10**9).tolist()):
        moment = datetime(1970, 1, 1, tzinfo=zone) + timedelta(
            seconds=second
        )  # local time, not elapsed time
        for fold in (0, 1):
            shift = moment.replace(fold=fold).utcoffset() or timedelta()
            shifts[fold, index] = shift // timedelta(seconds=1) * 10**9
    never, ambiguous = shifts[0] < shifts[1], shifts[0] > shifts[1]
    early, late = nanos - shifts.max(axis=0), nanos - shifts.min(axis=0)
    return np.where(never & (clock.nonexistent == "later"), late, early), late, never, ambiguous


def shift_at(instants: Int64s, zone: str) -> Int64s:
    """Return the zone's offset from UTC at each UTC time, in nanoseconds."""
    zoned = pa.array(instants, pa.int64()).cast(NS).cast(pa.timestamp("ns", tz=zone))
    return ints(pc.local_timestamp(zoned).cast(pa.int64())) - instants
