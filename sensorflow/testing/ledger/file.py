"""A file of the in-memory ledger, and its conversion to the types of the ports."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from sensorflow.core.arrival import Arrival, OutboxEntry, printable
from sensorflow.core.names import canonical
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage, State
from sensorflow.core.trace import Trace
from sensorflow.errors import CAUSE, SensorflowError
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, FileView, HistoryEvent
from sensorflow.ports.maintenance import Garbage
from sensorflow.ports.outbox import InFlightLimits

T = TypeVar("T")

OPEN = (State.PENDING, State.RUNNING)


@dataclass
class File:
    id: int
    arrival: Arrival
    version: int
    first_key: bytes
    stage: Stage = Stage.VALIDATE
    state: State = State.PENDING
    attempts: int = 0
    retries: int = 0
    quarantines: int = 0
    token: int | None = None
    lease_until: datetime | None = None
    not_before: datetime | None = None
    published_at: datetime | None = None
    taken_with: int | None = None
    finished_at: datetime | None = None
    counts: Counts = field(default_factory=Counts)
    checksum: int | None = None
    error: tuple[str, str, dict[str, Any]] | None = None
    quarantined_to: str | None = None
    tidy: bool = True
    progress_bytes: int | None = None
    progress_rows: int | None = None
    span: Span = field(default_factory=Span)
    events: list[HistoryEvent] = field(default_factory=list)

    @property
    def source(self) -> str:
        return self.arrival.source

    @property
    def name(self) -> bytes:
        """The name that all versions of the file share."""
        return canonical(self.arrival.key)

    @property
    def sha256(self) -> bytes:
        return self.arrival.landed.sha256

    @property
    def size(self) -> int:
        return self.arrival.landed.size

    @property
    def may_have_garbage(self) -> bool:
        return not self.tidy and self.state in (State.LOADED, State.QUARANTINED)

    def claimable(self, now: datetime) -> bool:
        if self.state is State.PENDING:
            return self.not_before is None or self.not_before <= now
        return self.is_expired(now)

    def is_expired(self, now: datetime) -> bool:
        ended = self.lease_until is not None and self.lease_until < now
        return self.state is State.RUNNING and ended


StoredError = tuple[str, str, dict[str, Any]]


def error_of(error: SensorflowError, cause: StoredError | None = None) -> StoredError:
    """cause: the stored error that this one replaces; see `errors.CAUSE`."""
    place = dict(error.place)
    if cause is not None:
        kept = dict(zip(("code", "detail", "place"), cause, strict=True))
        place[CAUSE] = cause[2].get(CAUSE, kept)
    return str(error.code), error.message, place


def outbox_entry_of(file: File) -> OutboxEntry:
    landed_at = file.arrival.landed_at
    return _project(OutboxEntry, file, received_at=landed_at, token=file.token or 0)


def claim_of(file: File, is_first_claim: bool, at: datetime, sent_at: datetime | None) -> Claim:
    trace_id = file.arrival.trace_id
    trace = None if trace_id is None else Trace(trace_id, at, sent_at)
    facts = {
        "trace": trace,
        "received_at": file.arrival.landed_at,
        "is_first_claim": is_first_claim,
        "name": file.name,
    }
    return _project(Claim, file, attempt=file.attempts, **facts)


def view_of(file: File) -> FileView:
    code, detail, place = file.error or (None, None, None)
    return _project(
        FileView,
        file,
        name=printable(file.arrival.key),
        registered_at=file.arrival.landed_at,
        ts_min=file.span.low,
        ts_max=file.span.high,
        error_code=code,
        error_detail=detail,
        error_place=place,
        lane=str(file.arrival.lane),
    )


def garbage_of(file: File) -> Garbage:
    facts = {"received_at": file.arrival.landed_at, "expired": frozenset[str](), "landing": None}
    return _project(Garbage, file, **facts)


def quota(most: int, in_flight: InFlightLimits) -> int:
    """Return how many files of the only source may be in flight, at most `most`."""
    given = [share.max_in_flight for share in in_flight.shares.values()]
    return min([most, *(found for found in given if found is not None)])


def _project(kind: type[T], file: File, **more: Any) -> T:
    """Return a value of the type `kind`. Each field is copied from the field of the same name in the file,
    its arrival or its landed bytes."""
    landed = file.arrival.landed
    known = {**vars(landed), **vars(file.arrival), **vars(file), "file_id": file.id}
    known |= {"landing": landed.name, **more}
    names = [f.name for f in fields(kind) if f.name in known]  # type: ignore[arg-type]
    return kind(**{name: known[name] for name in names})
