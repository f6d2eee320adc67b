"""What the client returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sensorflow.core.states import State
from sensorflow.flow.audit.report import Report, record
from sensorflow.ports.files import ChainView, FileView


@dataclass(frozen=True)
class File:
    """A file, as `sensorflow files ls` has it: one version of its content.

    state: pending, running, loaded, quarantined, superseded or undone; of a file that grows that of its
    newest growth, and the counts are of all of it. Counts are of readings: read = loaded + rejected +
    duplicates + not_loaded; missing are cells without one; replaced, of the loaded, those whose place newer
    statements have taken. sha256: in hex. first_reading, last_reading: None where none is loaded. error:
    the code with which it is in quarantine or waits, error_detail: in words. growths: of a file that grows,
    how many; else None.
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
    """What a replay or an undo did with a file. file: as it was before. done: whether it was accepted.
    rows: readings taken out by an undo. why: where it was not done."""

    file: File
    done: bool
    rows: int = 0
    why: str = ""


@dataclass(frozen=True)
class Finding:
    """What an audit found wrong. kind: lost, duplicated, orphaned, mismatched or overdue. code: stable,
    with its name. do: what to do about it."""

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
    """What an audit says. verdict: in a line. files, readings: how many were looked at. in_flight: files on
    their way. not_looked_at: what could not be looked at, and why: then the audit is not finished."""

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
        """Whether all was looked at, and nothing is wrong."""
        return not (self.findings or self.not_looked_at)


def audit_of(report: Report) -> Audit:
    return Audit(
        verdict=report.verdict,
        findings=[Finding(**record(finding)) for finding in report.findings],
        not_looked_at=report.unseen,
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
