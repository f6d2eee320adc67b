"""What an audit reads of the ledger in memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from sensorflow.core.arrival import printable
from sensorflow.core.readings import READING, US, micros
from sensorflow.ports.audit import Altered, Book, History
from sensorflow.testing.ledger.file import chain
from sensorflow.testing.ledger.ledger import MemoryLedger


class MemorySnapshot:
    """See `ports.audit.Snapshot`: copies of all that is there."""

    name = "memory"

    def __init__(self, ledger: MemoryLedger) -> None:
        self.taken_at = datetime.now(UTC)
        self._books = _books(ledger)
        self._holders = {key: file_id for key, (file_id, _) in ledger.rows.items()}
        files = ledger.all_files()
        self._altered = [
            Altered(file.id, file.told, len(file.events))
            for file in files
            if file.told != len(file.events) or file.head != chain(file.events, file.base)
        ]
        heads = b"".join(file.id.to_bytes(8) + file.head for file in files)
        digest = hashlib.sha256(heads).hexdigest()
        self._history = History(sum(file.told for file in files), digest)
        self._rows = [_row(ledger, key) for key in ledger.rows]

    def files(self) -> Iterator[Book]:
        yield from (self._books[file_id] for file_id in sorted(self._books))

    def rows_per_file(self) -> dict[int, int]:
        return dict(Counter(self._holders.values()))

    def altered(self) -> list[Altered]:
        return self._altered

    def history(self) -> History:
        return self._history

    def unproved(self) -> list[tuple[str, bool]]:
        return []

    def readings(self) -> Iterator[pa.RecordBatch]:
        yield from self._rows

    def held(self, ts: pa.Array, keys: pa.Array) -> list[int | None]:
        return [self._holders.get(key) for key in keys.to_pylist()]

    def sharing(self, rows: pa.RecordBatch) -> list[int]:
        count = Counter(_identity(row, 0) for row in self._rows)
        return [count[_identity(rows, place)] for place in range(len(rows))]


class MemoryBooks:
    """See `ports.audit.Books`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    @contextmanager
    def snapshot(self) -> Iterator[MemorySnapshot]:
        with self._ledger.lock:
            made = MemorySnapshot(self._ledger)
        yield made

    def present(self, file_ids: list[int]) -> dict[int, Book]:
        with self._ledger.lock:
            return {i: book for i, book in _books(self._ledger).items() if i in file_ids}

    def unknown(self, source: str, found: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        return [(key, mark) for key, mark in found if not self._ledger.seen(source, key, mark)]

    @contextmanager
    def holding(self, file_id: int) -> Iterator[Book | None]:
        with self._ledger.lock:
            yield _books(self._ledger).get(file_id)

    def remove_rows(self, file_id: int) -> int:
        with self.holding(file_id) as book:
            if book is None or book.rows is not None:
                return 0
            return self._ledger.take_out(file_id)


def _identity(rows: pa.RecordBatch, place: int) -> tuple[object, ...]:
    return tuple(rows[name][place].as_py() for name in ("sensor_id", "reading_type", "ts"))


def _row(ledger: MemoryLedger, key: bytes) -> pa.RecordBatch:
    silver = ledger.readings[key]
    columns = {name: silver[name] for name in silver.schema.names}
    columns["ts"] = pa.array(micros(silver["ts"])).cast(US)
    columns["file_id"] = pa.array([ledger.rows[key][0]], pa.int64())
    columns["dedupe_key"] = pa.array([key], pa.binary(16))
    return pa.RecordBatch.from_arrays([columns[n] for n in READING.names], schema=READING)


def _books(ledger: MemoryLedger) -> dict[int, Book]:
    return {
        file.id: Book(
            file_id=file.id,
            source=file.arrival.source,
            key=file.arrival.key,
            name=printable(file.arrival.key),
            version=file.version,
            sha256=file.arrival.landed.sha256,
            md5=file.arrival.landed.md5,
            size=file.arrival.landed.size,
            landing=file.arrival.landed.name,
            sensor_type=file.arrival.sensor_type,
            state=file.state,
            stage=file.stage,
            lane=str(file.lane),
            token=file.token or 0,
            received_at=file.arrival.landed_at,
            finished_at=file.finished_at,
            lease_until=file.lease_until,
            not_before=file.not_before,
            published_at=file.published_at,
            moved_at=file.events[-1].at if file.events else None,
            counts=replace(file.counts, replaced=file.replaced),
            checksum=file.checksum,
            previous=None if file.previous is None else file.previous[0].loaded - file.replaced,
            quarantined_to=file.quarantined_to,
            profile=file.profile,
            profile_hash=None,
            code_version=None,
            identity=file.identity or None,
            expired=tuple(sorted(file.expired)),
            tidy=file.tidy,
            part=ledger.part_of(file),
            members=file.members,
        )
        for file in ledger.all_files()
    }
