"""A file of the ledger in memory, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sensorflow.core.arrival import Arrival, Lane, Waiting, printable
from sensorflow.core.growth import Part
from sensorflow.core.names import canonical
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage, State
from sensorflow.errors import SensorflowError
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, FileView, HistoryEvent

OPEN = (State.PENDING, State.RUNNING)
REPLAYED = (State.LOADED, State.QUARANTINED, State.UNDONE)
SETTLED = (State.LOADED, State.SUPERSEDED, State.UNDONE)


@dataclass
class File:
    id: int
    arrival: Arrival
    version: int
    stage: Stage
    state: State = State.PENDING
    attempts: int = 0
    retries: int = 0
    quarantines: int = 0
    token: int | None = None
    lease_until: datetime | None = None
    not_before: datetime | None = None
    published_at: datetime | None = None
    sent_with: int | None = None
    taken_with: int | None = None
    finished_at: datetime | None = None
    counts: Counts = field(default_factory=Counts)
    checksum: int | None = None
    replaced: int = 0
    error: tuple[str, str, dict[str, Any]] | None = None
    quarantined_to: str | None = None
    lane: Lane = Lane.LIVE
    profile: str | None = None
    identity: str = ""
    previous: tuple[Counts, datetime | None] | None = None
    expired: set[str] = field(default_factory=set)
    tidy: bool = True
    collected_for: datetime | None = None
    span: Span = field(default_factory=Span)
    part: Part | None = None
    members: int | None = None
    events: list[HistoryEvent] = field(default_factory=list)

    @property
    def name(self) -> bytes:
        """What its versions have in common."""
        return canonical(self.arrival.key)


def message_of(file: File) -> int:
    """The file whose message is this one's too."""
    return file.sent_with or file.id


def claimable(file: File, now: datetime) -> bool:
    if file.state is State.PENDING:
        return file.not_before is None or file.not_before <= now
    ended = file.lease_until is not None and file.lease_until < now
    return file.state is State.RUNNING and ended


def error_of(error: SensorflowError) -> tuple[str, str, dict[str, Any]]:
    return str(error.code), error.message, dict(error.place)


def waiting_of(file: File) -> Waiting:
    arrival, landed = file.arrival, file.arrival.landed
    return Waiting(
        file_id=file.id,
        source=arrival.source,
        key=arrival.key,
        version=file.version,
        size=landed.size,
        md5=landed.md5,
        landing=landed.name,
        stage=file.stage,
        received_at=arrival.landed_at,
        token=file.token or 0,
        lane=file.lane,
    )


def claim_of(file: File) -> Claim:
    arrival, landed = file.arrival, file.arrival.landed
    assert file.token is not None
    return Claim(
        file_id=file.id,
        token=file.token,
        attempt=file.attempts,
        stage=file.stage,
        source=arrival.source,
        key=arrival.key,
        version=file.version,
        sha256=landed.sha256,
        md5=landed.md5,
        size=landed.size,
        landing=landed.name,
        received_at=arrival.landed_at,
        retries=file.retries,
        sensor_type=arrival.sensor_type,
        profile=file.profile,
        again=file.previous is not None,
        unpacked=file.members is not None,
        part=file.part,
        name=file.name,
    )


def view_of(file: File) -> FileView:
    code, detail, place = file.error or (None, None, None)
    arrival, landed = file.arrival, file.arrival.landed
    return FileView(
        file_id=file.id,
        source=arrival.source,
        key=arrival.key,
        name=printable(arrival.key),
        version=file.version,
        sha256=landed.sha256,
        md5=landed.md5,
        size=landed.size,
        mtime_ns=arrival.mtime_ns,
        landing=landed.name,
        sensor_type=arrival.sensor_type,
        state=file.state,
        stage=file.stage,
        attempts=file.attempts,
        retries=file.retries,
        discovered_at=arrival.discovered_at,
        landed_at=arrival.landed_at,
        registered_at=arrival.landed_at,
        published_at=file.published_at,
        finished_at=file.finished_at,
        counts=replace(file.counts, replaced=file.replaced),
        checksum=file.checksum,
        ts_min=file.span.low,
        ts_max=file.span.high,
        error_code=code,
        error_detail=detail,
        error_place=place,
        quarantined_to=file.quarantined_to,
        lane=str(file.lane),
        expired=tuple(sorted(file.expired)),
        members=file.members,
    )
