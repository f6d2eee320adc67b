"""Run an audit: compare the ledger, the disk and the database, all with the same database snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sensorflow.errors import OUTAGE_CODES, Code, Transient
from sensorflow.flow.audit import deep, files, growing, layers, sums
from sensorflow.flow.audit.context import AuditContext
from sensorflow.flow.audit.report import Level, Report, Subset
from sensorflow.ports.audit import Snapshot


def audit(context: AuditContext, level: Level, subset: Subset | None = None) -> Report:
    """Run all checks up to `level`. Does not raise if a service is unavailable; the report lists the checks
    that could not be made.

    subset: the files that the deep level reads again.
    """
    run = _Run(context, Report(level, datetime.now(UTC)))
    began = time.perf_counter()
    with run.looking("the database"), context.store.snapshot() as snapshot:
        run.all(snapshot, level, subset or Subset())
    run.close()
    run.report.seconds = time.perf_counter() - began
    return run.report


@dataclass
class _Run:
    context: AuditContext
    report: Report
    is_unavailable: bool = field(default=False)

    def all(self, snapshot: Snapshot, level: Level, subset: Subset) -> None:
        context, report = self.context, self.report
        self._open(snapshot)
        self._do("drop folders", lambda: files.drops(context, report))
        self._do("overdue files", lambda: files.overdue(context, report))
        self._do("the landing zone", lambda: files.landing(context, report))
        self._do("the quarantine", lambda: files.quarantine(context, report))
        self._do("the balance", lambda: files.balance(context, report))
        if level >= Level.DEFAULT:
            self._do("rows in the database", lambda: layers.rows(context, report, snapshot))
            self._do("histories", lambda: layers.histories(context, report, snapshot))
            self._do("sealed partitions", lambda: layers.partitions(context, report, snapshot))
            self._do("the lake's layers", lambda: layers.lake(context, report))
            self._do("the lake", lambda: layers.orphans(context, report))
            self._do("leftovers", lambda: layers.unfinished_writes(context, report))
        if level >= Level.CHECKSUM:
            self._do("checksums", lambda: sums.checksums(context, report, snapshot))
        if level >= Level.DEEP:
            self._do("landed originals", lambda: deep.reread(context, report, snapshot, subset))
            self._do("growing files", lambda: growing.changed(context, report))

    def _open(self, snapshot: Snapshot) -> None:
        context, report = self.context, self.report
        report.snapshot, context.now = snapshot.name, snapshot.taken_at
        context.records_by_id = {record.file_id: record for record in snapshot.files()}
        report.files = len(context.selected)
        report.in_flight |= {record.file_id for record in context.selected if record.in_flight}
        report.rows = sum(record.rows or 0 for record in context.selected)
        for record in context.selected:
            report.expired.update(record.expired)

    def _do(self, what: str, check: Callable[[], None]) -> None:
        with self.looking(what):
            if self.is_unavailable:
                raise Transient(Code.DATABASE, "the database is unavailable")
            check()

    @contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """Returns a context manager for a check. If a service is unavailable, the check is reported as not
        made, and the audit continues."""
        try:
            yield
        except Transient as error:
            self.is_unavailable = self.is_unavailable or error.code in (
                Code.DATABASE,
                *OUTAGE_CODES,
            )
            self.report.not_checked.append(f"{what}: {error}")
        except OSError as error:
            self.report.not_checked.append(f"{what}: {error}")

    def close(self) -> None:
        with self.looking("the ledger as it is now"):
            if not self.is_unavailable:
                self.report.recheck(self.context.store)
        self.report.skip_recheck()
