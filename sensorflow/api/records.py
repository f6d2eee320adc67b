"""The objects that the client returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sensorflow.core.states import State
from sensorflow.flow.audit.report import Report, as_dict
from sensorflow.ports.files import ChainView, FileView


@dataclass(frozen=True)
class File:
    """A file as `sensorflow files ls` shows it: one version of its content.

    state: pending, running, loaded, quarantined, superseded or undone. For a growing file, `state` is that
    of its newest part, and the counts cover all parts. Counts are numbers of readings: read = loaded +
    rejected + duplicates + not_loaded. missing: cells without a reading. replaced: loaded readings that
    newer versions or other files have replaced. sha256: in hex. first_reading, last_reading: None if no
    reading is loaded. error: the code of the quarantine or of the last failure. error_detail: the message
    of this error. growths: number of parts of a growing file, else None.
    """

    id: int
    source: str
    name: str
    version: int
    state: str
    size: int
    sha256: str
    profile: str | None
    arrived_at: datetime
    finished_at: datetime | None
    read: int
    loaded: int
    rejected: int
    duplicates: int
    not_loaded: int
    missing: int
    replaced: int
    first_reading: datetime | None
    last_reading: datetime | None
    error: str | None
    error_detail: str | None
    growths: int | None


@dataclass(frozen=True)
class Change:
    """The result of a replay or an undo of one file. file: the file before the request. done: whether the
    request was accepted. rows: number of readings that an undo removed. reason: why the request was not
    accepted."""

    file: File
    done: bool
    rows: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """A fault found by an audit. kind: lost, duplicated, orphaned, mismatched or overdue. code: the stable
    code and its name. do: the recommended action."""

    kind: str
    code: str
    source: str | None
    file_id: int | None
    name: str
    expected: str
    found: str
    do: str


@dataclass(frozen=True)
class Audit:
    """The result of an audit. verdict: a summary in one line. files, readings: numbers of those that were
    checked. in_flight: files that are being processed. not_looked_at: the checks that could not be made,
    with the reason; if not empty, the audit is incomplete."""

    verdict: str
    findings: list[Finding]
    not_looked_at: list[str]
    notes: list[str]
    files: int
    readings: int
    in_flight: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether everything was checked and no fault was found."""
        return not (self.findings or self.not_looked_at)


def audit_of(report: Report) -> Audit:
    return Audit(
        verdict=report.verdict,
        findings=[Finding(**as_dict(finding)) for finding in report.findings],
        not_looked_at=report.not_checked,
        notes=report.notes,
        files=report.files,
        readings=report.rows,
        in_flight=len(report.in_flight),
        seconds=report.seconds,
    )


def file_of(view: FileView, chain: ChainView | None = None) -> File:
    newest = view if chain is None else chain.newest
    account = newest.account if chain is None else chain.account
    is_there = newest.state is State.LOADED
    return File(
        id=view.file_id,
        source=view.source,
        name=view.name,
        version=view.version,
        state=str(newest.state),
        size=view.size if chain is None else chain.size,
        sha256=view.sha256.hex(),
        profile=newest.profile,
        arrived_at=view.landed_at,
        finished_at=newest.finished_at,
        read=account.read,
        loaded=account.loaded,
        rejected=account.rejected,
        duplicates=account.duplicate,
        not_loaded=account.not_loaded,
        missing=account.missing,
        replaced=account.replaced,
        first_reading=view.ts_min if is_there else None,
        last_reading=newest.ts_max if is_there else None,
        error=newest.error_code,
        error_detail=newest.error_detail,
        growths=None if chain is None else chain.growths,
    )
