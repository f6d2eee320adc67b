"""The default level: checks the row counts of each file in each layer, and finds files in the lake that no
file of the ledger needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sensorflow.core.findings import Fault, Finding
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.states import State
from sensorflow.errors import Transient
from sensorflow.flow.audit.context import AuditContext, finding, identity_of_record, if_unchanged
from sensorflow.flow.audit.recreated import RecreatedFolder
from sensorflow.flow.audit.report import Report, names
from sensorflow.flow.file_task import spans_whole_source
from sensorflow.flow.garbage import unwanted_layers
from sensorflow.flow.parallel import each
from sensorflow.ports.audit import FileRecord, Snapshot
from sensorflow.ports.layers import Stored, Unreadable
from sensorflow.settings import Settings

HOUR = 3600.0
NO_FILE = "no file"


def rows(context: AuditContext, report: Report, snapshot: Snapshot) -> None:
    """Check that the database has as many rows of each file as the ledger says, and no rows of unknown
    files."""
    found = snapshot.rows_per_file()
    report.rows = sum(found.get(record.file_id, 0) for record in context.selected)
    missing = [r for r in context.selected if _rows(report, r, found.get(r.file_id, 0))]
    _missing(report, snapshot, missing, found)
    if context.source is not None:
        return  # the source of a file that is not in the ledger is unknown
    for file_id in sorted(found.keys() - context.records_by_id.keys()):
        text = f"{found[file_id]:,} rows"
        report.rows += found[file_id]
        report.add(Finding(Fault.ROWS_UNKNOWN, "", file_id, "", "a row in the ledger", text))


def _missing(
    report: Report, snapshot: Snapshot, records: list[FileRecord], found: dict[int, int]
) -> None:
    """Report missing rows, unless a retention policy of the database has dropped them: these rows have
    expired."""
    ids = [record.file_id for record in records]
    dropped = snapshot.dropped_by_database(ids) if ids else set()
    for record in records:
        if record.file_id not in dropped:
            text = f"{found.get(record.file_id, 0):,} rows in the database"
            report.add(finding(Fault.ROWS_MISSING, record, f"{record.rows:,} rows", text))
    if dropped:
        report.expired["rows"] += len(dropped)
        rows = sum((r.rows or 0) - found.get(r.file_id, 0) for r in records if r.file_id in dropped)
        report.note(
            f"{rows:,} rows of {len(dropped):,} files were dropped by the retention policy of TimescaleDB"
        )


def _rows(report: Report, record: FileRecord, found: int) -> bool:
    """Report rows that should not exist. Returns whether rows are missing."""
    wanted, text = record.rows, f"{found:,} rows in the database"
    if wanted is None:
        if found:
            expected = f"none: the file is {record.state}"
            report.add(finding(Fault.ROWS_UNWANTED, record, expected, text))
    elif found > wanted:
        report.add(finding(Fault.ROWS_EXTRA, record, f"{wanted:,} rows", text))
    return wanted is not None and found < wanted and "rows" not in record.expired


def partitions(context: AuditContext, report: Report, snapshot: Snapshot) -> None:
    """Report past partitions that are not sealed. Without the unique index of a sealed partition, nothing
    proves that it has no duplicates."""
    if context.source is not None:
        return  # a partition contains all sources
    for name, doubled in snapshot.unsealed_partitions():
        fault = Fault.MONTH_DOUBLED if doubled else Fault.CLOSE_OVERDUE
        found = "duplicate readings" if doubled else "none, long after its end"
        report.add(Finding(fault, "", None, name, "a unique index", found))


def lake(context: AuditContext, report: Report) -> None:
    """Compare the Parquet footers of each loaded file's bronze, rejects and silver with the ledger."""
    for layer, check in (
        (Layer.BRONZE, _bronze),
        (Layer.REJECTS, _rejects),
        (Layer.SILVER, _silver),
    ):
        elsewhere = RecreatedFolder(
            _location(context.services.settings, layer),
            context.services.landing.created_at(),
            context.services.lake.created_at(layer),
        )
        wanted = (
            record
            for record in context.selected
            if record.state is State.LOADED
            and layer not in record.expired
            and record.members is None  # an archive has no layers of its own
        )
        for record, fault in each(partial(check, context), wanted):
            if fault is None or (fault.found == NO_FILE and elsewhere.explains(record)):
                continue
            report.add(fault, if_unchanged(record))
        elsewhere.report(report)


def _location(settings: Settings, layer: Layer) -> str:
    """Return what was created at `Layers.created_at`: the layer's folder, or the store of all layers."""
    lake = settings.displayed_zone("lake")
    return lake if settings.zone_folder("lake") is None else f"{lake}/{layer}"


def histories(context: AuditContext, report: Report, snapshot: Snapshot) -> None:
    """Verify the hash chain of each file's events."""
    for altered in snapshot.tampered():
        record = context.records_by_id.get(altered.file_id)
        expected = f"{_events(altered.expected)}, as they were written"
        found = _events(altered.found)
        if altered.found is not None and altered.found == altered.expected:
            found = "the same number, but different events"
        if record is None:
            if context.source is None:
                where = "a row in the ledger for its history"
                fault = Finding(Fault.HISTORY_CHANGED, "", altered.file_id, "", where, "none")
                report.add(fault)
        elif context.source in (None, record.source):
            report.add(finding(Fault.HISTORY_CHANGED, record, expected, found))
    report.history = snapshot.history()


def _events(count: int | None) -> str:
    return "no record of events" if count is None else f"{count:,} events"


def _bronze(context: AuditContext, record: FileRecord) -> Finding | None:
    place = context.place(record, Layer.BRONZE)
    if _rows_of(context, record, Layer.BRONZE) is None:
        return finding(Fault.BRONZE_MISSING, record, f"rows in {place}", NO_FILE, place)
    return None


def _rejects(context: AuditContext, record: FileRecord) -> Finding | None:
    place, wanted = context.place(record, Layer.REJECTS), record.counts.rejected
    if not wanted:
        return None
    found, expected = _rows_of(context, record, Layer.REJECTS), f"{wanted:,} rows in {place}"
    if found is None:
        return finding(Fault.REJECTS_MISSING, record, expected, NO_FILE, place)
    if found != wanted:
        text = f"{found:,} rows" if found >= 0 else "a Parquet file that cannot be read"
        return finding(Fault.REJECTS_ROWS, record, expected, text, place)
    return None


def _rows_of(context: AuditContext, record: FileRecord, layer: Layer) -> int | None:
    """Returns the number of rows according to the Parquet footer: -1 if the footer cannot be read, None if
    there is no Parquet file."""
    try:
        return context.services.lake.count(layer, LayerFile.of(record))
    except Unreadable:
        return -1


def _silver(context: AuditContext, record: FileRecord) -> Finding | None:
    place = context.place(record, Layer.SILVER)
    least, limit = silver_rows(context, record)
    expected = f"{least:,} rows" + (f" to {limit:,}" if limit > least else "") + f" in {place}"
    try:
        found = context.services.lake.count(Layer.SILVER, LayerFile.of(record))
    except Unreadable as error:
        return finding(Fault.SILVER_UNREADABLE, record, expected, str(error), place)
    if found is None and least == 0 and record.counts.replaced:
        return None
    if found is None:
        return finding(Fault.SILVER_MISSING, record, expected, NO_FILE, place)
    if not least <= found <= limit:
        return finding(Fault.SILVER_ROWS, record, expected, f"{found:,} rows", place)
    return None


def silver_rows(context: AuditContext, record: FileRecord) -> tuple[int, int]:
    """Returns the minimum and maximum number of rows that a file's silver may have.

    If the dedupe scope is the source, the file's silver also contains readings that were first loaded from
    another file. The ledger counts these readings as duplicates.
    """
    served = record.counts.served
    if not record.tidy:  # the next reconciliation removes replaced readings
        return served, record.counts.loaded
    shared = spans_whole_source(record.source, identity_of_record(context, record))
    return served, served + record.counts.duplicate if shared else served


def orphans(context: AuditContext, report: Report) -> None:
    """Report files in the lake that no file of the ledger needs."""
    entry, unknown = 0, list[str]()
    for found in _stored(context):
        if isinstance(found, str):
            unknown.append(found)
            continue
        record = context.records_by_id.get(found.file_id)
        if record is None:
            if context.source is None:
                _unknown(report, found)
        elif context.source in (None, record.source) and is_unwanted(context, record, found):
            if found.place != context.place(record, found.layer) or _report_unwanted(
                context, record, found
            ):
                report.add(_orphan(context, record, found), if_unchanged(record))
            else:
                entry += 1
    if entry:
        report.note(f"{entry:,} lake files that the next reconciliation removes")
    if unknown:
        report.note(f"in the lake, but not from sensorflow: {names(unknown)}")


def _stored(context: AuditContext) -> Iterator[Stored | str]:
    try:
        yield from context.services.lake.stored()
    except Transient:
        if context.records_by_id:  # without any file, the lake may not exist yet
            raise


def _unknown(report: Report, found: Stored) -> None:
    place, expected = found.place, "a row in the ledger"
    fault = Finding(Fault.LAYER_UNKNOWN, "", found.file_id, place, expected, place, place)
    report.add(fault, lambda now: now is None)


def is_unwanted(context: AuditContext, record: FileRecord, found: Stored) -> bool:
    """Whether a stored file is no longer needed, or is stored in the wrong place."""
    if found.place != context.place(record, found.layer):
        return True
    return not record.in_flight and found.layer in unwanted_layers(record)


def _report_unwanted(context: AuditContext, record: FileRecord, found: Stored) -> bool:
    """Whether to report a stored file that is not needed. Returns False for pending garbage, which the next
    reconciliation removes."""
    return context.is_past_grace(record) and (record.tidy or found.layer not in record.expired)


def _orphan(context: AuditContext, record: FileRecord, found: Stored) -> Finding:
    home, place = context.place(record, found.layer), found.place
    reason = "expired" if found.layer in record.expired else record.state
    expected = f"none: the file is {reason}" if place == home else home
    return finding(Fault.LAYER_UNWANTED, record, expected, place, place)


def unfinished_writes(context: AuditContext, report: Report) -> None:
    """Add a note about the incomplete files of killed writers. They are harmless and are never read."""
    services = context.services
    found = services.lake.list_unfinished(HOUR)
    found += [f"landing/{name}" for name in services.landing.list_unfinished(HOUR)]
    found += [f"quarantine/{name}" for name in services.quarantine.list_unfinished(HOUR)]
    found = list(dict.fromkeys(found))  # the lake's prefix may contain those of the other zones
    if found:
        report.note(f"incomplete and older than an hour, may be removed: {names(found)}")
