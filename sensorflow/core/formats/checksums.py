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
_SAID = re.compile(rb"\*([0-9A-Fa-f]{2})(?![0-9A-Fa-f])")


def nmea(raw: bytes) -> tuple[bytes, str | None]:
    """A line without its checksum as of NMEA 0183, or why it is refused.

    The bytes between "$" (or "!") and "*" are XORed; two hexadecimal digits behind "*" say what that makes.

    >>> nmea(b"$GPGLL,5057.970,N*09")
    (b'$GPGLL,5057.970,N', None)
    >>> nmea(b"$GPGLL,5057.970,N*12")[1]
    'its bytes give the checksum 09, the line says 12'
    """
    found = _found(raw)
    if found is None:
        return raw, "there is no checksum, as in $...*5A"
    begin, end = found
    made, said = reduce(xor, raw[begin:end], 0), int(raw[end + 1 : end + 3], 16)
    if made != said:
        return raw, f"its bytes give the checksum {made:02X}, the line says {said:02X}"
    return raw[:end] + raw[end + 3 :], None


def _found(raw: bytes) -> tuple[int, int] | None:
    """Where the bytes of a checksum begin and end. Each byte is looked at once: what begins before a "*"
    that no checksum follows does not reach behind it."""
    at = 0
    while (begin := _BEGIN.search(raw, at)) is not None:
        star = raw.find(b"*", begin.end())
        if star < 0:
            return None
        if _SAID.match(raw, star):
            return begin.end(), star
        at = star + 1
    return None


def all_nmea(block: Block, kept: npt.NDArray[np.int64]) -> bytes | None:
    """The lines of a block that are rows, as `nmea` has each of them; None where one may be refused."""
    data = np.frombuffer(block.data, np.uint8)
    bounds = np.append(block.starts, len(data))
    starts, ends = bounds[kept], bounds[kept + 1]
    begins = _first(np.flatnonzero((data == 0x24) | (data == 0x21)), starts)
    stars = _first(np.flatnonzero(data == 0x2A), begins)
    if (stars + 3 > ends).any() or (stars - begins < 2).any():
        return None
    padded = np.append(data, np.zeros(4, np.uint8))
    high, low, after = (_HEX[padded[stars + n]] for n in (1, 2, 3))
    made = np.bitwise_xor.reduceat(data, np.stack((begins + 1, stars), axis=1).ravel())[::2]
    if (high < 0).any() or (low < 0).any() or (after >= 0).any() or (made != high * 16 + low).any():
        return None
    left = np.zeros(len(block), np.bool_)
    left[kept] = True
    mask = np.repeat(left, np.diff(bounds))
    mask[(stars[:, None] + np.arange(3)).ravel()] = False
    return data[mask].tobytes()


def _first(places: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first place at or behind each start; far behind all where there is none."""
    return np.append(places, np.int64(1) << 40)[np.searchsorted(places, starts)]
