"""Run an audit: compare everything with one snapshot of the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sensorflow.errors import LASTING, Code, Transient
from sensorflow.flow.audit import deep, files, growing, layers, sums
from sensorflow.flow.audit.report import Level, Report, Subset
from sensorflow.flow.audit.sight import Sight
from sensorflow.ports.audit import Snapshot


def audit(sight: Sight, level: Level, subset: Subset | None = None) -> Report:
    """Run all checks of `level`. Never raises for an unavailable service; the report says so instead.

    subset: the files that the deep level reads again.
    """
    run = _Run(sight, Report(level, datetime.now(UTC)))
    began = time.perf_counter()
    with run.looking("the database"), sight.books.snapshot() as snapshot:
        run.all(snapshot, level, subset or Subset())
    run.close()
    run.report.seconds = time.perf_counter() - began
    return run.report


@dataclass
class _Run:
    sight: Sight
    report: Report
    away: bool = field(default=False)

    def all(self, snapshot: Snapshot, level: Level, subset: Subset) -> None:
        sight, report = self.sight, self.report
        self._open(snapshot)
        self._do("drop folders", lambda: files.drops(sight, report))
        self._do("overdue files", lambda: files.overdue(sight, report))
        self._do("the landing zone", lambda: files.landing(sight, report))
        self._do("the quarantine", lambda: files.quarantine(sight, report))
        self._do("the balance", lambda: files.balance(sight, report))
        if level >= Level.DEFAULT:
            self._do("rows in the database", lambda: layers.rows(sight, report, snapshot))
            self._do("histories", lambda: layers.histories(sight, report, snapshot))
            self._do("sealed months", lambda: layers.months(sight, report, snapshot))
            self._do("the lake's layers", lambda: layers.lake(sight, report))
            self._do("the lake", lambda: layers.orphans(sight, report))
            self._do("leftovers", lambda: layers.leftovers(sight, report))
        if level >= Level.CHECKSUM:
            self._do("checksums", lambda: sums.checksums(sight, report, snapshot))
        if level >= Level.DEEP:
            self._do("landed originals", lambda: deep.read_again(sight, report, snapshot, subset))
            self._do("growing files", lambda: growing.changed(sight, report))

    def _open(self, snapshot: Snapshot) -> None:
        sight, report = self.sight, self.report
        report.snapshot, sight.now = snapshot.name, snapshot.taken_at
        sight.books_by_id = {book.file_id: book for book in snapshot.files()}
        report.files = len(sight.mine)
        report.in_flight |= {book.file_id for book in sight.mine if book.in_flight}
        report.rows = sum(book.rows or 0 for book in sight.mine)
        for book in sight.mine:
            report.expired.update(book.expired)

    def _do(self, what: str, look: Callable[[], None]) -> None:
        with self.looking(what):
            if self.away:
                raise Transient(Code.DATABASE, "the database is unavailable")
            look()

    @contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """Report an unavailable service as not checked; the audit continues with the rest."""
        try:
            yield
        except Transient as error:
            self.away = self.away or error.code in (Code.DATABASE, *LASTING)
            self.report.unseen.append(f"{what}: {error}")
        except OSError as error:
            self.report.unseen.append(f"{what}: {error}")

    def close(self) -> None:
        with self.looking("the ledger as it is now"):
            if not self.away:
                self.report.settle(self.sight.books)
        self.report.unsettled()
