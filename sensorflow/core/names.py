"""One name, however its letters are encoded.

Unicode writes "ü" as one character or as a "u" and a mark, and file systems differ in which they give:
Linux keeps what it was given, macOS takes letters apart. Names are compared composed (NFC, Unicode Standard
Annex 15), and kept as they came.
"""

from __future__ import annotations

import unicodedata


def canonical(key: bytes) -> bytes:
    """The bytes that a name is known by. A name that is no UTF-8 is its own.

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
