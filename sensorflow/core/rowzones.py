"""Times whose zone stands in a column: each row by the clock of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.civil import Int64s, ints
from sensorflow.core.clocktime import ABBREVIATIONS, Clock, Dst, Instants
from sensorflow.core.codes import unrefused
from sensorflow.core.profile import zones as names
from sensorflow.core.readings import NS
from sensorflow.core.timeformats import fixed_offset

UNSURE = frozenset(("CET", "MET", "EET", "WET"))
"""Names of zones that keep daylight saving time, and of winter's offset in them: only the profile's `zones`
can tell which."""

Read = Callable[[pa.Array, Clock], Instants]
"""(the rows that are read, their clock) -> their times."""


def zone_of(text: str | None, known: Mapping[str, str]) -> str | None:
    """The zone that a cell names: an abbreviation, an offset or an IANA name; None where it names none."""
    if text is None:
        return None
    abbreviations = {**ABBREVIATIONS, **known}
    if (found := abbreviations.get(text, abbreviations.get(text.upper()))) is not None:
        return found
    if fixed_offset(text) is not None and not re.fullmatch(r"[+-]?\d{3}", text):  # minutes?
        return text
    return text if text in names() and text not in UNSURE else None


def by_zone(zones: pa.Array, clock: Clock, read: Read) -> Instants:
    """The times of all rows. zones: the cell of each that names its zone."""
    coded = pc.dictionary_encode(zones)
    places = np.array(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    nanos, codes = np.zeros(len(zones), np.int64), unrefused(len(zones))
    for place, text in [(-1, None), *enumerate(coded.dictionary.to_pylist())]:
        rows: Int64s = np.flatnonzero(places == place)
        if not len(rows):
            continue
        own = replace(clock.of(rows), zone=zone_of(text, clock.zones))
        found = read(pa.array(rows), own)
        nanos[rows], codes[rows] = ints(found.ts.cast(pa.int64())), found.codes
    return Instants(pa.array(nanos, pa.int64(), mask=codes != 0).cast(NS), codes)


def flags(texts: pa.Array, yes: Sequence[str], no: Sequence[str] | None) -> Dst:
    """Whether daylight saving time holds, as `Clock.dst`. texts: null where the cell is empty."""

    def among(wanted: Sequence[str]) -> pa.Array:
        found = pc.is_in(pc.fill_null(texts, ""), value_set=pa.array(wanted, pa.string()))
        return found.to_numpy(zero_copy_only=False)

    other = np.where(among(no), 0, -1) if no is not None else 0
    return np.where(among(yes), 1, other).astype(np.int8)
