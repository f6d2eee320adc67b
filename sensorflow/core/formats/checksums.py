"""Checksums that loggers write at the end of a line."""

from __future__ import annotations

import re
from functools import reduce
from operator import xor

_NMEA = re.compile(rb"[$!]([^*]*)\*([0-9A-Fa-f]{2})(?![0-9A-Fa-f])")


def nmea(raw: bytes) -> tuple[bytes, str | None]:
    """A line without its checksum as of NMEA 0183, or why it is refused.

    The bytes between "$" (or "!") and "*" are XORed; two hexadecimal digits behind "*" say what that makes.

    >>> nmea(b"$GPGLL,5057.970,N*09")
    (b'$GPGLL,5057.970,N', None)
    >>> nmea(b"$GPGLL,5057.970,N*12")[1]
    'its bytes give the checksum 09, the line says 12'
    """
    match = _NMEA.search(raw)
    if match is None:
        return raw, "there is no checksum, as in $...*5A"
    made, said = reduce(xor, match[1], 0), int(match[2], 16)
    if made != said:
        return raw, f"its bytes give the checksum {made:02X}, the line says {said:02X}"
    return raw[: match.end(1)] + raw[match.end() :], None
