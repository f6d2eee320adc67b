"""Compressed files and archives, told by their first bytes and not by the name."""

from __future__ import annotations

MAGIC: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}


def kind_of(head: bytes) -> str | None:
    """The kind of container that begins with these bytes (eight are enough), None if it is none."""
    if head.startswith(b"BZh") and head[4:8] == b"1AY&":
        return "bzip2"
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
