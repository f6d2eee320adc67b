"""Defines the objects that `Client` returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sensorflow.core.states import State
from sensorflow.flow.audit.report import Report, as_dict
from sensorflow.ports.files import ChainView, FileView


@dataclass(frozen=True)
class File:
    """One version of a file, as `sensorflow files ls` shows it.

    state: "pending", "running", "loaded", "quarantined", "superseded" or "undone". size: number of bytes.
    sha256: SHA-256 of the bytes, in hexadecimal. arrived_at, finished_at: times of landing and of the end
    of processing. read, loaded, rejected, duplicates, not_loaded: numbers of readings, with read = loaded +
    rejected + duplicates + not_loaded. missing: number of cells without a value. replaced: number of loaded
    readings that newer versions or other files have replaced. first_reading, last_reading: times of the
    first and the last loaded reading; None if no reading is loaded. error, error_detail: code and message
    of the quarantine or of the last failure.

    growths: number of parts of a growing file; None for any other file. For a growing file, `state` is the
    state of the newest part, and the numbers of readings are sums over all parts.
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
    """The result of a request to replay or undo one file.

    file: the file before the request. done: whether the request was accepted. rows: number of readings that
    an undo has removed. reason: the reason why the request was not accepted, or "". delay: the reason why
    the silver of an undone file is removed later, or "".
    """

    file: File
    done: bool
    rows: int = 0
    reason: str = ""
    delay: str = ""


@dataclass(frozen=True)
class Finding:
    """A fault that an audit has found.

    kind: "lost", "duplicated", "orphaned", "mismatched" or "overdue". code: the code of the fault and its
    name. expected, found: the two values that differ, as text. do: the recommended action.
    """

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
    """The result of an audit.

    verdict: a summary in one line. not_looked_at: the checks that could not be made, each with the reason;
    the audit is complete only if this list is empty. notes: remarks that are not faults. files, readings:
    number of files and readings that were checked. in_flight: number of files that are being processed.
    seconds: duration of the audit.
    """

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
        """True if all checks were made and no fault was found."""
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
