"""Keys of objects in a bucket.

A key is the prefix of the store, followed by the name of the object. What buckets cannot store or change is
escaped as "!" and two hexadecimal digits per byte: bytes that are not UTF-8, control characters, the
backslash (some servers replace it by a slash), the noncharacters U+FFFE and U+FFFF (not allowed in XML), a
dot at the end of a part (Azure removes it) and "!" itself. All other names are keys as they are.
"""

from __future__ import annotations

import re

from sensorflow.errors import Code, Transient

LONGEST = 1024
"""Maximum length of a key in bytes (S3, Google Cloud Storage) or characters (Azure)."""

_UNSAFE = re.compile(r"[!\\\x00-\x1f\x7f\ufffe\uffff\udc80-\udcff]|\.(?=/|$)")
_ESCAPED = re.compile(rb"!([0-9A-F]{2})")


class Keys:
    """Converts names of objects into keys and back. prefix: the keys of the store begin with it; "" or a
    path without slashes at its ends."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{prefix}/" if prefix else ""

    def key(self, name: str) -> str:
        """Return the key of an object. Raises Transient STORAGE if no object can have this name."""
        if not name or any(part in ("", ".", "..") for part in name.split("/")):
            raise Transient(Code.STORAGE, f"{name!r} is not an object name")
        key = self.prefix + _escape(name)
        if len(key.encode()) > LONGEST:
            raise Transient(
                Code.STORAGE, f"{name!r} is too long for a bucket: the key has over {LONGEST} bytes"
            )
        return key

    def folder(self, prefix: str) -> str:
        """Return the longest folder that contains all objects whose names begin with `prefix`. Raises
        Transient STORAGE if `prefix` is not the beginning of a name."""
        folder, slash, _ = prefix.rpartition("/")
        if slash and not folder:
            raise Transient(Code.STORAGE, f"{prefix!r} is not the beginning of an object name")
        return self.key(folder) if folder else self.prefix.rstrip("/")

    def name(self, key: str) -> str | None:
        """Return the name of the object that has this key; None if no name has this key."""
        raw = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), key.encode())
        name = raw.decode("utf-8", "surrogateescape")
        if not name.startswith(self.prefix):
            return None
        name = name.removeprefix(self.prefix)
        return name if self.prefix + _escape(name) == key else None


def _escape(name: str) -> str:
    try:
        return _UNSAFE.sub(_escaped, name)
    except UnicodeEncodeError as error:  # a surrogate that PEP 383 does not produce
        raise Transient(Code.STORAGE, f"{name!r} is not an object name") from error


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"!{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))
