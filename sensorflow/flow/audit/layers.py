"""The default level: row counts of each file in each layer, and unwanted files in the lake."""

from __future__ import annotations

from collections.abc import Iterator

from sensorflow.core.findings import Fault, Finding
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.states import State
from sensorflow.errors import Transient
from sensorflow.flow.audit.elsewhere import Elsewhere
from sensorflow.flow.audit.report import Report, names
from sensorflow.flow.audit.sight import Sight, finding, identity_of_book, unmoved
from sensorflow.flow.tidy import unwanted
from sensorflow.flow.work import whole_source
from sensorflow.ports.audit import Book, Snapshot
from sensorflow.ports.layers import Stored, Unreadable

HOUR = 3600.0
NO_FILE = "no file"


def rows(sight: Sight, report: Report, snapshot: Snapshot) -> None:
    """Check that the database has as many rows of each file as the ledger says, and no others."""
    found = snapshot.rows_per_file()
    report.rows = sum(found.get(book.file_id, 0) for book in sight.mine)
    for book in sight.mine:
        _rows(report, book, found.get(book.file_id, 0))
    if sight.source is not None:
        return  # the source of an unknown file is unknown
    for file_id in sorted(found.keys() - sight.books_by_id.keys()):
        text = f"{found[file_id]:,} rows"
        report.rows += found[file_id]
        report.find(Finding(Fault.ROWS_UNKNOWN, "", file_id, "", "a row in the ledger", text))


def _rows(report: Report, book: Book, found: int) -> None:
    wanted, text = book.rows, f"{found:,} rows in the database"
    if wanted is None:
        if found:
            expected = f"none: the file is {book.state}"
            report.find(finding(Fault.ROWS_UNWANTED, book, expected, text))
    elif found > wanted:
        report.find(finding(Fault.ROWS_EXTRA, book, f"{wanted:,} rows", text))
    elif found < wanted and "rows" not in book.expired:
        report.find(finding(Fault.ROWS_MISSING, book, f"{wanted:,} rows", text))


def months(sight: Sight, report: Report, snapshot: Snapshot) -> None:
    """Find past months that are not sealed: no unique index proves the absence of duplicates yet."""
    if sight.source is not None:
        return  # a month covers all sources
    for name, doubled in snapshot.unproved():
        fault = Fault.MONTH_DOUBLED if doubled else Fault.CLOSE_OVERDUE
        found = "duplicate readings" if doubled else "none, long after its end"
        report.find(Finding(fault, "", None, name, "a unique index", found))


def lake(sight: Sight, report: Report) -> None:
    """Compare the footers of each loaded file's bronze, rejects and silver with the ledger."""
    for layer, look in (
        (Layer.BRONZE, _bronze),
        (Layer.REJECTS, _rejects),
        (Layer.SILVER, _silver),
    ):
        elsewhere = Elsewhere(layer, sight.world.landing.began(), sight.world.lake.began(layer))
        for book in sight.mine:
            if book.state is not State.LOADED or layer in book.expired or book.members is not None:
                continue  # an archive has no layers of its own
            fault = look(sight, book)
            if fault is None or (fault.found == NO_FILE and elsewhere.has(book)):
                continue
            report.find(fault, unmoved(book))
        elsewhere.report(report)


def histories(sight: Sight, report: Report, snapshot: Snapshot) -> None:
    """Verify the hash chain of each file's events."""
    for altered in snapshot.altered():
        book = sight.books_by_id.get(altered.file_id)
        expected = f"{_events(altered.expected)}, as they were written"
        found = _events(altered.found)
        if altered.found is not None and altered.found == altered.expected:
            found = "as many, but different ones"
        if book is None:
            if sight.source is None:
                where = "a row in the ledger for its history"
                fault = Finding(Fault.HISTORY_CHANGED, "", altered.file_id, "", where, "none")
                report.find(fault)
        elif sight.source in (None, book.source):
            report.find(finding(Fault.HISTORY_CHANGED, book, expected, found))
    report.history = snapshot.history()


def _events(count: int | None) -> str:
    return "no account of them" if count is None else f"{count:,} events"


def _bronze(sight: Sight, book: Book) -> Finding | None:
    place = sight.place(book, Layer.BRONZE)
    if _rows_of(sight, book, Layer.BRONZE) is None:
        return finding(Fault.BRONZE_MISSING, book, f"rows in {place}", NO_FILE, place)
    return None


def _rejects(sight: Sight, book: Book) -> Finding | None:
    place, wanted = sight.place(book, Layer.REJECTS), book.counts.rejected
    if not wanted:
        return None
    found, expected = _rows_of(sight, book, Layer.REJECTS), f"{wanted:,} rows in {place}"
    if found is None:
        return finding(Fault.REJECTS_MISSING, book, expected, NO_FILE, place)
    if found != wanted:
        text = f"{found:,} rows" if found >= 0 else "a Parquet file that cannot be read"
        return finding(Fault.REJECTS_ROWS, book, expected, text, place)
    return None


def _rows_of(sight: Sight, book: Book, layer: Layer) -> int | None:
    """Returns the number of rows in the file's footer; -1 if it cannot be read, None if there is no
    file."""
    try:
        return sight.world.lake.count(layer, LayerFile.of(book))
    except Unreadable:
        return -1


def _silver(sight: Sight, book: Book) -> Finding | None:
    place = sight.place(book, Layer.SILVER)
    least, most = silver_rows(sight, book)
    expected = f"{least:,} rows" + (f" to {most:,}" if most > least else "") + f" in {place}"
    try:
        found = sight.world.lake.count(Layer.SILVER, LayerFile.of(book))
    except Unreadable as error:
        return finding(Fault.SILVER_UNREADABLE, book, expected, str(error), place)
    if found is None and least == 0 and book.counts.replaced:
        return None
    if found is None:
        return finding(Fault.SILVER_MISSING, book, expected, NO_FILE, place)
    if not least <= found <= most:
        return finding(Fault.SILVER_ROWS, book, expected, f"{found:,} rows", place)
    return None


def silver_rows(sight: Sight, book: Book) -> tuple[int, int]:
    """Returns the minimum and maximum number of rows that a file's silver may have.

    If several files of a source may contain the same reading, silver also holds those that another file
    delivered first. They count as duplicates.
    """
    served = book.counts.served
    if not book.tidy:  # the next reconciliation removes replaced readings
        return served, book.counts.loaded
    shared = whole_source(book.source, identity_of_book(sight, book))
    return served, served + book.counts.duplicate if shared else served


def orphans(sight: Sight, report: Report) -> None:
    """Find files in the lake that no file of the ledger needs."""
    waiting, strange = 0, list[str]()
    for found in _stored(sight):
        if isinstance(found, str):
            strange.append(found)
            continue
        book = sight.books_by_id.get(found.file_id)
        if book is None:
            if sight.source is None:
                _unknown(report, found)
        elif sight.source in (None, book.source) and is_unwanted(sight, book, found):
            if found.place != sight.place(book, found.layer) or _overlooked(sight, book, found):
                report.find(_orphan(sight, book, found), unmoved(book))
            else:
                waiting += 1
    if waiting:
        report.note(f"{waiting:,} lake files that the next reconciliation removes")
    if strange:
        report.note(f"in the lake, but not from sensorflow: {names(strange)}")


def _stored(sight: Sight) -> Iterator[Stored | str]:
    try:
        yield from sight.world.lake.stored()
    except Transient:
        if sight.books_by_id:  # without any file, the lake may not exist yet
            raise


def _unknown(report: Report, found: Stored) -> None:
    place, expected = found.place, "a row in the ledger"
    fault = Finding(Fault.LAYER_UNKNOWN, "", found.file_id, place, expected, place, place)
    report.find(fault, lambda now: now is None)


def is_unwanted(sight: Sight, book: Book, found: Stored) -> bool:
    """Whether a stored file is no longer needed, or is misplaced."""
    if found.place != sight.place(book, found.layer):
        return True
    return not book.in_flight and found.layer in unwanted(book)


def _overlooked(sight: Sight, book: Book, found: Stored) -> bool:
    """Whether it is more than pending garbage, which the ledger knows of and the next reconciliation
    removes."""
    return sight.settled(book) and (book.tidy or found.layer not in book.expired)


def _orphan(sight: Sight, book: Book, found: Stored) -> Finding:
    home, place = sight.place(book, found.layer), found.place
    why = "expired" if found.layer in book.expired else book.state
    expected = f"none: the file is {why}" if place == home else home
    return finding(Fault.LAYER_UNWANTED, book, expected, place, place)


def leftovers(sight: Sight, report: Report) -> None:
    """Note what killed writers left. It is harmless, and nothing reads it."""
    world = sight.world
    found = world.lake.unfinished(HOUR)
    found += [f"landing/{name}" for name in world.landing.unfinished(HOUR)]
    found += [f"quarantine/{name}" for name in world.quarantine.unfinished(HOUR)]
    if found:
        report.note(f"incomplete and older than an hour, may be removed: {names(found)}")
