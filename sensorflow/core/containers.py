"""Recognizes compressed files and archives by their first bytes, not by their name."""

from __future__ import annotations

MAGIC: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}


def kind_of(head: bytes) -> str | None:
    """Return the kind of compressed file or archive that starts with these bytes, or None. Eight bytes are
    enough."""
    if head.startswith(b"BZh") and head[4:8] == b"1AY&":
        return "bzip2"
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
