"""The services and data that the checks of an audit share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from sensorflow.core.findings import Fault, Finding
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.flow.audit.report import Recheck
from sensorflow.flow.file_task import Services, identity_of
from sensorflow.ports.audit import AuditStore, FileRecord
from sensorflow.ports.feed import Feed, GrowingFeed
from sensorflow.ports.intake import Intake
from sensorflow.ports.layers import Layers


@dataclass
class AuditContext:
    """The services and data that all checks of one audit use. source: the source to audit; None for all
    sources.

    store: the database, for the audit's queries. growing: the feeds with growing files, by source. now: the
    database's time at the snapshot. records_by_id: the ledger's records of all sources at the snapshot;
    about one kilobyte of memory per file. scratch: returns a context manager with an empty lake that is
    removed on exit.
    """

    services: Services
    store: AuditStore
    intake: Intake
    feeds: Sequence[Feed]
    growing: Mapping[str, GrowingFeed]
    scratch: Callable[[], AbstractContextManager[Layers]]
    source: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    records_by_id: dict[int, FileRecord] = field(default_factory=dict)

    @cached_property
    def selected(self) -> list[FileRecord]:
        """Returns the records of the files to audit. Call this only after `records_by_id` was filled."""
        everything = self.records_by_id.values()
        return [b for b in everything if self.source in (None, b.source)]

    @property
    def grace_period(self) -> timedelta:
        """Returns two reconciliation intervals. A file that makes no progress for a longer time needs
        attention."""
        return timedelta(seconds=2 * self.services.settings.reconcile)

    def place(self, record: FileRecord, layer: Layer) -> str:
        """Returns the path at which a file's rows of a layer should be stored."""
        return self.services.lake.place(layer, LayerFile.of(record))

    def is_past_grace(self, record: FileRecord) -> bool:
        """Whether a file finished long enough ago that its cleanup must be complete."""
        return record.finished_at is None or record.finished_at < self.now - self.grace_period


def finding(fault: Fault, record: FileRecord, expected: str, found: str, path: str = "") -> Finding:
    return Finding(fault, record.source, record.file_id, record.name, expected, found, path)


def if_unchanged(record: FileRecord) -> Recheck:
    """Returns a recheck that confirms the finding only if the file has not changed since."""
    return lambda now: now is not None and not record.has_changed(now)


def identity_of_record(context: AuditContext, record: FileRecord) -> str:
    """Returns the file name that is part of a file's dedupe keys. If the ledger has not recorded this name,
    returns the name according to the settings."""
    if record.identity:
        return record.identity
    source = context.services.settings.sources.get(record.source)
    return identity_of(source, record.source, record.key, record.version)


def landing_wanted(now: FileRecord | None) -> bool:
    """A recheck for landed bytes: confirms the finding unless retention has removed the bytes since."""
    return now is not None and "landing" not in now.expired
