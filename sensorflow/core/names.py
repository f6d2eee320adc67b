"""Compares file names regardless of their Unicode normalization.

Unicode writes "ü" as one character or as "u" with a combining mark, and file systems differ: Linux keeps
the bytes it was given, macOS decomposes. Names are compared in NFC (Unicode Standard Annex 15), and stored
as received.
"""

from __future__ import annotations

import unicodedata


def canonical(key: bytes) -> bytes:
    """Return a name in NFC, for comparison. A name that is not UTF-8 is returned as it is.

    >>> canonical(b"u\\xcc\\x88.csv") == canonical("\\u00fc.csv".encode()) == b"\\xc3\\xbc.csv"
    True
    """
    if key.isascii():
        return key
    try:
        return composed(key.decode()).encode()
    except UnicodeDecodeError:
        return key


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
