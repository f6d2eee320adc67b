"""The context of an audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from sensorflow.core.findings import Fault, Finding
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.flow.audit.report import Still
from sensorflow.flow.work import World, identity_of
from sensorflow.ports.audit import Book, Books
from sensorflow.ports.feed import Feed, GrowingFeed
from sensorflow.ports.intake import Intake
from sensorflow.ports.layers import Layers


@dataclass
class Sight:
    """The services, the audit's database, the intake and the feeds, for one source or for all (None).

    growing: the sources with growing files, by name. now: the database's clock at the snapshot.
    books_by_id: the ledger's records at the snapshot, of all sources; about one kilobyte of memory per
    file. scratch: creates an empty lake that is removed on exit.
    """

    world: World
    books: Books
    intake: Intake
    feeds: Sequence[Feed]
    growing: Mapping[str, GrowingFeed]
    scratch: Callable[[], AbstractContextManager[Layers]]
    source: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    books_by_id: dict[int, Book] = field(default_factory=dict)

    @cached_property
    def mine(self) -> list[Book]:
        """Returns the files to audit. Call only after `books_by_id` was filled."""
        everything = self.books_by_id.values()
        return [b for b in everything if self.source in (None, b.source)]

    @property
    def patience(self) -> timedelta:
        """Two reconciliation intervals. After this time, everything that can make progress has done so."""
        return timedelta(seconds=2 * self.world.settings.sweep)

    def place(self, book: Book, layer: Layer) -> str:
        """Returns where a file's rows of a layer belong."""
        return self.world.lake.place(layer, LayerFile.of(book))

    def settled(self, book: Book) -> bool:
        """Whether a file finished so long ago that its cleanup is complete."""
        return book.finished_at is None or book.finished_at < self.now - self.patience


def finding(fault: Fault, book: Book, expected: str, found: str, path: str = "") -> Finding:
    return Finding(fault, book.source, book.file_id, book.name, expected, found, path)


def unmoved(book: Book) -> Still:
    """Returns a recheck: the finding holds only if the file has not changed since."""
    return lambda now: now is not None and not book.moved(now)


def identity_of_book(sight: Sight, book: Book) -> str:
    """Returns the file name in a file's dedupe keys: as recorded, otherwise derived from the settings."""
    if book.identity:
        return book.identity
    source = sight.world.settings.sources.get(book.source)
    return identity_of(source, book.source, book.key, book.version)


def landing_wanted(now: Book | None) -> bool:
    """Recheck for landed bytes: a fault holds in every state until retention removes them."""
    return now is not None and "landing" not in now.expired
