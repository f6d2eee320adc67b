"""Converts geographic angles to degrees, from ddmm.mmmm (NMEA 0183), or from degrees, minutes and
seconds."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from sensorflow.core.codes import Codes, no_codes
from sensorflow.errors import Code

_HEMISPHERE = "[NSEWnsew]"
_DDMM = re.compile(
    rf"(?P<before>{_HEMISPHERE})?\s*(?P<sign>[+-])?(?P<degrees>\d{{0,3}}?)(?P<minutes>\d{{1,2}}(?:\.\d*)?)"
    rf"\s*(?P<after>{_HEMISPHERE})?"
)
_DMS = re.compile(
    rf"(?P<before>{_HEMISPHERE})?\s*(?P<sign>[+-])?(?P<degrees>\d{{1,3}}(?:\.\d*)?)\s*[°º:d]?\s*"
    r"(?:(?P<minutes>\d{1,2}(?:\.\d*)?)\s*['′’:m]?\s*)?"
    rf"(?:(?P<seconds>\d{{1,2}}(?:\.\d*)?)\s*(?:[\"″”s]|''|′′)?\s*)?(?P<after>{_HEMISPHERE})?"
)
_PATTERNS = {"ddmm": _DDMM, "dms": _DMS}


def degrees(texts: pa.Array, kind: str, hemispheres: pa.Array | None) -> tuple[pa.Array, Codes]:
    """Convert texts to degrees. Degrees are negative for south and west, and null if the text is null or
    rejected. Also return the reject code of each text.

    kind: "ddmm" or "dms". hemispheres: the letter N, S, E or W of each row; None if no separate column
    contains this letter.
    """
    pairs = zip(
        texts.to_pylist(),
        hemispheres.to_pylist() if hemispheres else [None] * len(texts),
        strict=True,
    )
    known: dict[tuple[str | None, str | None], float | None] = {}
    found: list[float | None] = []
    codes = no_codes(len(texts))
    for index, pair in enumerate(pairs):
        if pair[0] is None:
            found.append(None)
            continue
        if pair not in known:
            known[pair] = _degrees(pair[0], kind, pair[1], hemispheres is not None)
        found.append(known[pair])
        if known[pair] is None:
            codes[index] = Code.VALUE_NOT_A_NUMBER.number
    return pa.array(found, pa.float64()), np.asarray(codes)


def _degrees(text: str, kind: str, hemisphere: str | None, wanted: bool) -> float | None:
    """Parse one angle. Returns None if the text is not an angle, if it contradicts `hemisphere`, or if
    `wanted` is set and neither the text nor `hemisphere` contains a hemisphere."""
    match = _PATTERNS[kind].fullmatch(text.strip())
    if match is None:
        return None
    parts = match.groupdict()
    letters = [h for h in (parts["before"], parts["after"], hemisphere) if h]
    if len({h.upper() for h in letters}) > 1 or (wanted and not letters):
        return None
    if letters and (parts["sign"] or not re.fullmatch(_HEMISPHERE, letters[0])):
        return None
    whole, minutes = float(parts["degrees"] or 0), parts["minutes"]
    seconds = parts.get("seconds")
    if float(minutes or 0) >= 60 or float(seconds or 0) >= 60:
        return None
    if ("." in (parts["degrees"] or "") and minutes) or ("." in (minutes or "") and seconds):
        return None
    found = (whole * 3600 + float(minutes or 0) * 60 + float(seconds or 0)) / 3600
    limit = 90 if letters and letters[0].upper() in "NS" else 180
    if found > limit:
        return None
    south = parts["sign"] == "-" or bool(letters and letters[0].upper() in "SW")
    return -found if south else found
