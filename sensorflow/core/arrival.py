"""A file that arrived: its identity, its name as bytes and for people, and its message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sensorflow.core.gates.announced import Announcement
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Misuse
from sensorflow.shown import shown


class Lane(StrEnum):
    """Which way a file goes: backfill never keeps a live file waiting."""

    LIVE = "live"
    BACKFILL = "backfill"


EVENT_TYPE = "org.sensorflow.file.registered.v1"


def printable(key: bytes) -> str:
    """The name for people: UTF-8 where it is, control characters and other bytes escaped.

    >>> printable(b"a b.csv"), printable(b"x\\ny.csv"), printable(b"\\xff.csv")
    ('a b.csv', 'x\\\\ny.csv', '\\\\xff.csv')
    """
    return shown(key.decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class Landed:
    """The bytes of a file, safe in the landing zone under a name made of their SHA-256.

    sha256, md5: digests (32 and 16 bytes); size in bytes.
    """

    name: str
    sha256: bytes
    md5: bytes
    size: int


@dataclass(frozen=True)
class Arrival:
    """One file seen complete in a drop folder, and landed.

    key: the path below the source's folder, bytes as the file system gave them.
    fingerprint: which state of which inode was read (see `stability.Stat`).
    sensor_type: the partition of silver that its readings go to, for good.
    announcement: the gate on whose word it is registered, of a source that has gates.
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


@dataclass(frozen=True)
class Waiting:
    """A file that is due to be published: what its message says.

    token: the fencing token of its last claim, 0 before the first. sent_with: the file whose message
    it is a part of, if it has none of its own.
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


def event(waiting: Waiting, bucket: str, others: Sequence[Waiting] = ()) -> dict[str, Any]:
    """The message of a file: a CloudEvents 1.0 JSON object, ids only, never data.

    Source of the form: CloudEvents 1.0.2, section "Context Attributes"; the fields of ``data`` are
    those that an object store's notification has. The ids of `others` are in an extension attribute,
    which may be a string and no list.
    """
    along = {OTHERS: " ".join(str(other.file_id) for other in others)} if others else {}
    return {
        **along,
        "specversion": "1.0",
        "id": f"{waiting.file_id}-{waiting.version}-{waiting.stage}",
        "source": f"/sensorflow/{waiting.source}",
        "type": EVENT_TYPE,
        "subject": printable(waiting.key),
        "time": waiting.received_at.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "file_id": waiting.file_id,
            "bucket": bucket,
            "key": waiting.landing,
            "size": waiting.size,
            "md5": waiting.md5.hex(),
            "source": waiting.source,
            "received_at": waiting.received_at.isoformat(),
        },
    }


FIELDS = frozenset(("file_id", "bucket", "key", "size", "md5", "source", "received_at"))
"""Of a message's ``data``. Closed: what is new goes beside ``data``, as CloudEvents' extensions do, so
that the workers of yesterday go on understanding it."""


OTHERS = "others"
MOST = 1000
"""Files in one message; no publisher sends as many."""


def file_ids_of(message: Any) -> list[int]:
    """The ids in a message; nothing else of a message is ever trusted. Raises Misuse MESSAGE."""
    first = _file_id_of(message)
    others = message.get(OTHERS, "")
    if not isinstance(others, str) or not _IDS.fullmatch(others):
        raise Misuse("a sensorflow event whose others are not file ids", Code.MESSAGE)
    found = list(dict.fromkeys((first, *map(int, others.split()))))
    if len(found) > MOST or not all(0 < number < 1 << 63 for number in found):
        raise Misuse("a sensorflow event with too many others, or too large ids", Code.MESSAGE)
    return found


_IDS = re.compile(r"([1-9][0-9]{0,18}( [1-9][0-9]{0,18}){0,999})?", re.ASCII)


def _file_id_of(message: Any) -> int:
    data = message.get("data") if isinstance(message, Mapping) else None
    if not isinstance(data, Mapping) or message.get("type") != EVENT_TYPE:
        raise Misuse("not a sensorflow event", Code.MESSAGE)
    if not FIELDS.issuperset(data):
        raise Misuse("a sensorflow event whose data has unknown fields", Code.MESSAGE)
    file_id = data.get("file_id")
    if isinstance(file_id, bool) or not isinstance(file_id, int) or not 0 < file_id < 1 << 63:
        raise Misuse(
            "a sensorflow event whose data.file_id is not a positive integer", Code.MESSAGE
        )
    return file_id
