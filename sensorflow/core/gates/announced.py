"""Announcements: the properties of a file that a sender announces in a gate, and checks of the file against
them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sensorflow.errors import Code, Permanent
from sensorflow.escaping import escape

LENGTHS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""Number of hexadecimal digits of a digest -> name of its algorithm in hashlib."""
ALGORITHMS = tuple(LENGTHS.values())
DISPLAY_NAMES = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}


class GateUnreadable(Exception):
    """Raised if the content of a gate is invalid. `str()` returns the reason as a message for users; it
    contains only printable characters."""

    def __init__(self, reason: str) -> None:
        super().__init__(escape(reason))


@dataclass(frozen=True)
class Announced:
    """The properties of a file that a gate announces. A field is None or empty if the gate does not contain
    this property.

    gate: the gate's name, for messages. size: the file's size in bytes. sums: (algorithm, digest) pairs;
    digests are in lower case hex. rows: number of rows in the file, including rejected rows.
    """

    gate: str
    size: int | None = None
    sums: tuple[tuple[str, str], ...] = ()
    rows: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {"gate": self.gate, "size": self.size, "sums": dict(self.sums), "rows": self.rows}

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> Announced:
        sums = tuple(sorted(facts["sums"].items()))
        return cls(facts["gate"], facts["size"], sums, facts["rows"])


@dataclass(frozen=True)
class Announcement:
    """Identifies the gate that announced a registered file.

    gate: the gate's key. mark: the content fingerprint of the gate (see `Stat`). announced: the announced
    properties. The content fingerprint stays the same if only the mode or the owner of the gate changes.
    Such a change is therefore not a new announcement.
    """

    gate: bytes
    mark: str
    announced: Announced


def differs(announced: Announced, size: int, digest: Callable[[str], str]) -> str | None:
    """Return a message that says how a file's bytes differ from the announcement. Returns None if there is
    no difference.

    size: the file's size in bytes. digest: a function that computes the file's digest for a given
    algorithm, as lower case hex.
    """
    if announced.size is not None and announced.size != size:
        return f"the file has {size:,} bytes, but {announced.gate} announces {announced.size:,}"
    for algorithm, wanted in announced.sums:
        if (found := digest(algorithm)) != wanted:
            name = DISPLAY_NAMES[algorithm]
            return f"the file's {name} is {found}, but {announced.gate} announces {wanted}"
    return None


def require_rows(announced: Announced | None, rows: int) -> None:
    """Raise Permanent GATE_MISMATCH if the gate announced another number of rows. rows: the number of rows
    in the file."""
    if announced is not None and announced.rows is not None and announced.rows != rows:
        raise Permanent(
            Code.GATE_MISMATCH,
            f"the file has {rows:,} rows, but {announced.gate} announces {announced.rows:,}",
        )
