"""Reads zones and daylight saving flags from columns, for files in which each row may have another zone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.times.clock import Dst
from sensorflow.core.times.timeformats import fixed_offset
from sensorflow.core.times.zonegroups import RowZones
from sensorflow.core.times.zones import ABBREVIATIONS
from sensorflow.core.times.zones import zones as names

UNSURE = frozenset(("CET", "MET", "EET", "WET"))
"""Ambiguous names of zones: each denotes either a zone with daylight saving time or a fixed offset. The
profile must define such a name in `zones`."""


def zone_of(text: str | None, known: Mapping[str, str]) -> str | None:
    """Return the zone in a cell, as an offset or an IANA name. The cell may contain an abbreviation, an
    offset or an IANA name; for any other text, return None. known: abbreviation -> offset."""
    return _zone(text, {**ABBREVIATIONS, **known})


def _zone(text: str | None, abbreviations: Mapping[str, str]) -> str | None:
    if text is None:
        return None
    if (found := abbreviations.get(text, abbreviations.get(text.upper()))) is not None:
        return found
    if fixed_offset(text) is not None and not re.fullmatch(
        r"[+-]?\d{3}", text
    ):  # three digits may be minutes, or hours and minutes
        return text
    return text if text in names() and text not in UNSURE else None


def zones_of(texts: pa.Array, known: Mapping[str, str]) -> RowZones:
    """Return the zone of each row. texts: the cells of the column with zones."""
    coded = pc.dictionary_encode(texts)
    places = np.array(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    abbreviations = {**ABBREVIATIONS, **known}
    names = [_zone(text, abbreviations) for text in coded.dictionary.to_pylist()]
    return RowZones.of([*names, None], places)  # the last entry is for rows without a text


def flags(texts: pa.Array, yes: Sequence[str], no: Sequence[str] | None) -> Dst:
    """Return, for each row, whether daylight saving time is in effect, encoded as in `Clock.dst`. texts:
    the cells of the column; null for an empty cell. yes, no: the texts that mean yes and no."""

    def among(wanted: Sequence[str]) -> pa.Array:
        found = pc.is_in(pc.fill_null(texts, ""), value_set=pa.array(wanted, pa.string()))
        return found.to_numpy(zero_copy_only=False)

    other = np.where(among(no), 0, -1) if no is not None else 0
    return np.where(among(yes), 1, other).astype(np.int8)
