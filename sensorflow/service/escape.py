"""Escapes text for unit files, as specified in systemd.syntax(7) and systemd.unit(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sensorflow.errors import UsageError

_SIMPLE = re.compile(r"[0-9A-Za-z:_/.=,@+-]+")
_PLAIN = re.compile(rb"[0-9A-Za-z:_/.]")


def word(text: str | Path) -> str:
    """Return the text as one word of a list or a command, quoted if necessary. Raises UsageError if a unit
    file cannot contain the text. `$` is not escaped, because the prefix `:` of commands disables variables.

    >>> print(word('my plant\\'s "é" (2) 100%'))
    "my plant's \\"é\\" (2) 100%%"
    """
    given = _checked(text)
    if _SIMPLE.fullmatch(given):
        return given
    return '"' + given.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def value(text: str | Path) -> str:
    """Return the text, escaped as the value of a setting that systemd does not split into words. Raises
    UsageError if a unit file cannot contain the text."""
    given = _checked(text)
    if given != given.strip() or given.endswith("\\"):
        raise UsageError(
            f"{given!r}: a unit file cannot contain a name that begins or ends with a space"
        )
    return given.replace("%", "%%")


def comment(text: str | Path) -> str:
    """Return the text as a comment. Backslashes at its end are removed, because they would continue the
    comment on the next line. Raises UsageError if a unit file cannot contain the text."""
    return _checked(text).rstrip("\\")


def mount_unit(point: Path) -> str:
    """Return the unit name of a mount point, as `systemd-escape --path --suffix=mount` does.

    >>> mount_unit(Path("/mnt/the share"))
    'mnt-the\\\\x20share.mount'
    """
    path = os.fsencode(point).strip(b"/")
    if not path:
        return "-.mount"
    parts = (bytes([byte]) for byte in path)
    text = "".join(_escaped(part, first=index == 0) for index, part in enumerate(parts))
    return f"{text}.mount"


def _escaped(byte: bytes, first: bool) -> str:
    if byte == b"/":
        return "-"
    if _PLAIN.fullmatch(byte) and not (first and byte == b"."):
        return byte.decode()
    return f"\\x{byte[0]:02x}"


def slug(text: str) -> str:
    """Return the name of a folder as a part of a unit name: lower-case letters, digits and hyphens.

    >>> slug('my plant\\'s "é" (2) 100%')
    'my-plant-s-2-100'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "project"


def _checked(text: str | Path) -> str:
    given = str(text)
    try:
        given.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{given!a}: the name is not UTF-8, but a unit file must be UTF-8: rename the folder"
        ) from None
    if any(ord(c) < 32 or ord(c) == 127 for c in given):
        raise UsageError(f"{given!a}: a unit file cannot contain line breaks or control characters")
    return given
