"""The findings of an audit, and their presentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from sensorflow.core.findings import Finding, Kind
from sensorflow.ports.audit import AuditStore, FileRecord, HistoryDigest

PAGE = 5000


class Level(IntEnum):
    """The level of an audit. Each level includes the checks of the previous level."""

    FAST = 0
    DEFAULT = 1
    CHECKSUM = 2
    DEEP = 3


@dataclass(frozen=True)
class Subset:
    """Selects files by file id. All files are divided into `parts` subsets; part: the number of the
    selected subset, from 1. A series of audits with a different subset each covers all files."""

    part: int = 1
    parts: int = 1

    def includes(self, file_id: int) -> bool:
        return file_id % self.parts == self.part - 1


Recheck = Callable[[FileRecord | None], bool]
"""A function that is called with a file's current ledger record, or None if there is none. It returns
whether a finding still holds."""


@dataclass
class Report:
    """The findings of an audit.

    files, rows: the numbers of files and rows that were checked. not_checked: the checks that could not be
    made, with the reason. in_flight: the ids of the files that were being processed when they were checked.
    expired: for each layer, the number of files whose rows in this layer have expired. history: the digest
    of all histories.
    """

    level: Level
    started: datetime
    seconds: float = 0.0
    snapshot: str = ""
    files: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    in_flight: set[int] = field(default_factory=set)
    expired: Counter[str] = field(default_factory=Counter)
    history: HistoryDigest | None = None
    _unconfirmed: list[tuple[Finding, Recheck]] = field(default_factory=list)

    def add(self, finding: Finding, recheck: Recheck | None = None) -> None:
        """Add a finding. recheck: the function that confirms the finding later. Required for a finding on
        the disk, because the snapshot does not cover the disk."""
        if recheck is None:
            self.findings.append(finding)
        else:
            self._unconfirmed.append((finding, recheck))

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def all(self) -> Iterator[Finding]:
        """Yield all findings, including those that have not been rechecked yet."""
        yield from self.findings
        yield from (finding for finding, _ in self._unconfirmed)

    def recheck(self, store: AuditStore) -> None:
        """Recheck the findings on the disk against the current ledger."""
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        for start in range(0, len(unconfirmed), PAGE):
            page = unconfirmed[start : start + PAGE]
            present = store.current(sorted({f.file_id for f, _ in page if f.file_id is not None}))
            for finding, still in page:
                if still(present.get(finding.file_id or 0)):
                    self.findings.append(finding)
                elif finding.file_id is not None:
                    self.in_flight.add(finding.file_id)
        self.findings.sort(key=lambda f: (list(Kind).index(f.kind), f.fault, f.file_id or 0))

    def skip_recheck(self) -> None:
        """Report the findings on the disk without a recheck, because the ledger is unavailable."""
        if self._unconfirmed:
            self.not_checked.append(
                f"whether {len(self._unconfirmed):,} findings on the disk still hold"
            )

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(f.kind for f in self.findings)
        return {str(kind): found[kind] for kind in Kind}

    @property
    def exit_code(self) -> int:
        """Returns 0 if there are no findings, 1 if there are findings, 2 if the audit is incomplete."""
        if self.not_checked:
            return 2
        return 1 if self.findings else 0

    @property
    def verdict(self) -> str:
        flying = f" ({_plural(len(self.in_flight), 'file')} in flight)" if self.in_flight else ""
        of = f"{_plural(self.files, 'file')}, {_plural(self.rows, 'reading')}"
        found = ", ".join(f"{n:,} {kind}" for kind, n in self.counts.items() if n)
        if self.not_checked:
            also = f"; found so far: {found}" if found else ""
            return (
                f"audit: could not finish, {_plural(len(self.not_checked), 'check')} not done{also}"
            )
        if self.findings:
            return f"audit: {of}: {found}{flying}"
        what = "every file" if self.level is Level.FAST else "every one"
        return f"audit: {of}: {what} accounted for{flying}"

    def as_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Returns the report for JSON. limit: maximum number of findings listed; all are counted."""
        return {
            "level": self.level.name.lower(),
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "snapshot": self.snapshot,
            "files": self.files,
            "rows": self.rows,
            "in_flight": len(self.in_flight),
            "expired": dict(self.expired),
            "counts": self.counts,
            "findings": [as_dict(f) for f in self.findings[:limit]],
            "history": None if self.history is None else vars(self.history),
            "notes": self.notes,
            "not_looked_at": self.not_checked,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
        }


def as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "kind": str(finding.kind),
        "code": str(finding.fault),
        "source": finding.source,
        "file_id": finding.file_id,
        "name": finding.name,
        "expected": finding.expected,
        "found": finding.found,
        "do": finding.todo,
    }


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def names(paths: Iterable[str], limit: int = 3) -> str:
    """Returns the first `limit` names, and the number of the other names."""
    given = list(paths)
    more = f" and {len(given) - limit:,} more" if len(given) > limit else ""
    return ", ".join(given[:limit]) + more
