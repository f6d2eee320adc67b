"""Checksums that loggers write at the end of a line."""

from __future__ import annotations

import re
from functools import reduce
from operator import xor

import numpy as np
import numpy.typing as npt

from sensorflow.core.formats.lines import Block

_HEX = np.full(256, -1, np.int16)
_HEX[list(b"0123456789ABCDEF")] = range(16)
_HEX[list(b"abcdef")] = range(10, 16)
_BEGIN = re.compile(rb"[$!]")
_STATED = re.compile(rb"\*([0-9A-Fa-f]{2})(?![0-9A-Fa-f])")


def nmea(raw: bytes) -> tuple[bytes, str | None]:
    """Return (line without its NMEA 0183 checksum, None), or (unchanged line, reason) if the checksum is
    wrong or missing.

    The two hexadecimal digits after "*" must equal the exclusive or of the bytes between "$" (or "!") and
    "*".

    >>> nmea(b"$GPGLL,5057.970,N*09")
    (b'$GPGLL,5057.970,N', None)
    >>> nmea(b"$GPGLL,5057.970,N*12")[1]
    'the line has the checksum 12, but its bytes give 09'
    """
    found = _found(raw)
    if found is None:
        return raw, "the line has no checksum such as *5A"
    begin, end = found
    computed, stated = reduce(xor, raw[begin:end], 0), int(raw[end + 1 : end + 3], 16)
    if computed != stated:
        return raw, f"the line has the checksum {stated:02X}, but its bytes give {computed:02X}"
    return raw[:end] + raw[end + 3 :], None


def _found(raw: bytes) -> tuple[int, int] | None:
    """Return the begin and end offsets of the bytes that the checksum covers; None if there is no
    checksum. The search takes linear time: it continues after each "*" that is not followed by a
    checksum."""
    at = 0
    while (begin := _BEGIN.search(raw, at)) is not None:
        star = raw.find(b"*", begin.end())
        if star < 0:
            return None
        if _STATED.match(raw, star):
            return begin.end(), star
        at = star + 1
    return None


def all_nmea(block: Block, kept_lines: npt.NDArray[np.int64]) -> bytes | None:
    """Return the rows of a block without their checksums (see `nmea`), or None if a checksum may be
    wrong. kept_lines: the indexes of the lines that are rows."""
    data = np.frombuffer(block.data, np.uint8)
    bounds = np.append(block.starts, len(data))
    starts, ends = bounds[kept_lines], bounds[kept_lines + 1]
    begins = _first(np.flatnonzero((data == 0x24) | (data == 0x21)), starts)
    stars = _first(np.flatnonzero(data == 0x2A), begins)
    if (stars + 3 > ends).any() or (stars - begins < 2).any():
        return None
    padded = np.append(data, np.zeros(4, np.uint8))
    high, low, after = (_HEX[padded[stars + n]] for n in (1, 2, 3))
    computed = np.bitwise_xor.reduceat(data, np.stack((begins + 1, stars), axis=1).ravel())[::2]
    if (
        (high < 0).any()
        or (low < 0).any()
        or (after >= 0).any()
        or (computed != high * 16 + low).any()
    ):
        return None
    left = np.zeros(len(block), np.bool_)
    left[kept_lines] = True
    mask = np.repeat(left, np.diff(bounds))
    mask[(stars[:, None] + np.arange(3)).ravel()] = False
    return data[mask].tobytes()


def _first(places: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, for each start, the first place at or after the start. If there is no such place, the
    result is greater than all places. Both arrays are in ascending order."""
    return np.append(places, np.int64(1) << 40)[np.searchsorted(places, starts)]
