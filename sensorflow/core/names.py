"""Compares file names regardless of their Unicode normalization.

In Unicode, "ü" is either one character, or "u" followed by a combining mark. Linux stores the bytes of a
name unchanged, but macOS decomposes characters. Names are therefore compared in NFC (Unicode Standard Annex
15). They are stored unchanged.
"""

from __future__ import annotations

import unicodedata


def canonical(key: bytes) -> bytes:
    """Return a name in NFC, for comparison. A name that is not UTF-8 is returned unchanged.

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
