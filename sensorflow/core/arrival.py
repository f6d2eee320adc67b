"""A file that arrived: its identity, its name and its broker message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sensorflow.core.gates.announced import Announcement
from sensorflow.core.states import Stage
from sensorflow.errors import Code, UsageError
from sensorflow.escaping import escape


class Lane(StrEnum):
    """The lane of a file in the queue. Files in the backfill lane never delay files in the live lane."""

    LIVE = "live"
    BACKFILL = "backfill"


EVENT_TYPE = "org.sensorflow.file.registered.v1"


def printable(key: bytes) -> str:
    """Return a file name for display: decoded as UTF-8, with control characters and bytes that are not
    valid UTF-8 escaped.

    >>> printable(b"a b.csv"), printable(b"x\\ny.csv"), printable(b"\\xff.csv")
    ('a b.csv', 'x\\\\ny.csv', '\\\\xff.csv')
    """
    return escape(key.decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class Landed:
    """A file's bytes in the landing zone, written durably under a name that is derived from their SHA-256.

    sha256, md5: digests (32 and 16 bytes). size: in bytes.
    """

    name: str
    sha256: bytes
    md5: bytes
    size: int


@dataclass(frozen=True)
class Arrival:
    """A complete file that arrived in a feed and whose bytes are in the landing zone.

    key: the file's name in its feed; for a drop folder, the path below the folder, in bytes as the file
    system returned them. fingerprint: identifies the state in which the file was read; for a drop folder,
    see `stability.Stat`. sensor_type: the name of the silver partition for the file's readings. It never
    changes. announcement: the gate (marker file) that announced the file; None if no gate did. trace_id:
    see `core.trace`; None if the file is not traced.
    """

    source: str
    key: bytes
    landed: Landed
    mtime_ns: int
    fingerprint: str
    sensor_type: str
    discovered_at: datetime
    landed_at: datetime
    lane: Lane = Lane.LIVE
    announcement: Announcement | None = None
    trace_id: bytes | None = None


@dataclass(frozen=True)
class OutboxEntry:
    """An outbox entry: a file for which a message must be sent to the queue.

    token: the fencing token of the last claim, 0 before the first claim. sent_with: if this file is a batch
    member, the id of the first file of the batch, whose message lists all members; None if this file has
    its own message.
    """

    file_id: int
    source: str
    key: bytes
    version: int
    size: int
    md5: bytes
    landing: str
    stage: Stage
    received_at: datetime
    token: int = 0
    lane: Lane = Lane.LIVE
    sent_with: int | None = None
    trace_id: bytes | None = None


def message_of(
    entry: OutboxEntry, bucket: str, others: Sequence[OutboxEntry] = ()
) -> dict[str, Any]:
    """Return the message for a file: a CloudEvents 1.0 JSON object that contains ids and no readings.

    Format: CloudEvents 1.0.2, section "Context Attributes". The fields of ``data`` have the same names as
    in an object store's notification. others: the other batch members. The message contains their ids as a
    string in an extension attribute, because an extension attribute cannot be a list.
    """
    extensions = {OTHERS: " ".join(str(other.file_id) for other in others)} if others else {}
    return {
        **extensions,
        "specversion": "1.0",
        "id": f"{entry.file_id}-{entry.version}-{entry.stage}",
        "source": f"/sensorflow/{entry.source}",
        "type": EVENT_TYPE,
        "subject": printable(entry.key),
        "time": entry.received_at.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "file_id": entry.file_id,
            "bucket": bucket,
            "key": entry.landing,
            "size": entry.size,
            "md5": entry.md5.hex(),
            "source": entry.source,
            "received_at": entry.received_at.isoformat(),
        },
    }


FIELDS = frozenset(("file_id", "bucket", "key", "size", "md5", "source", "received_at"))
"""All fields that a message's ``data`` may have. Further information must be in CloudEvents extension
attributes, so that older workers still accept the message."""


OTHERS = "others"
MAX_FILES = 1000
"""Maximum number of files in one message. Publishers send fewer."""


def file_ids_of(message: Any) -> list[int]:
    """Return the file ids in a message. Everything else in the message is ignored, because messages are not
    trusted. Raises UsageError MESSAGE."""
    first = _file_id_of(message)
    others = message.get(OTHERS, "")
    if not isinstance(others, str) or not _IDS.fullmatch(others):
        raise UsageError("a sensorflow event with invalid ids in others", Code.MESSAGE)
    found = list(dict.fromkeys((first, *map(int, others.split()))))
    if len(found) > MAX_FILES or not all(0 < number < 1 << 63 for number in found):
        raise UsageError(
            "a sensorflow event with too many ids, or an id out of range", Code.MESSAGE
        )
    return found


_IDS = re.compile(r"([1-9][0-9]{0,18}( [1-9][0-9]{0,18}){0,999})?", re.ASCII)


def _file_id_of(message: Any) -> int:
    data = message.get("data") if isinstance(message, Mapping) else None
    if not isinstance(data, Mapping) or message.get("type") != EVENT_TYPE:
        raise UsageError("not a sensorflow event", Code.MESSAGE)
    if not FIELDS.issuperset(data):
        raise UsageError("a sensorflow event with unknown fields in data", Code.MESSAGE)
    file_id = data.get("file_id")
    if isinstance(file_id, bool) or not isinstance(file_id, int) or not 0 < file_id < 1 << 63:
        raise UsageError(
            "a sensorflow event with a data.file_id that is not a positive integer", Code.MESSAGE
        )
    return file_id
