"""What an audit looks at."""

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
    """The world, the database's books, what was taken in, and the feeds; of one source, or of all (None).

    growing: of those sources whose files grow, by name.
    now: the database's clock at the snapshot. books_by_id: what the ledger said then, of all sources;
    about a kilobyte for each file is held. scratch: makes an empty lake that goes when it is left.
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
        """The files that this audit is of. Not to be asked for before `books_by_id` is there."""
        everything = self.books_by_id.values()
        return [b for b in everything if self.source in (None, b.source)]

    @property
    def patience(self) -> timedelta:
        """Two sweeps: by then whatever can move has moved."""
        return timedelta(seconds=2 * self.world.settings.sweep)

    def place(self, book: Book, layer: Layer) -> str:
        """Where a file's part of a layer belongs."""
        return self.world.lake.place(layer, LayerFile.of(book))

    def settled(self, book: Book) -> bool:
        """Whether a file came to its end so long ago that all was put in order since."""
        return book.finished_at is None or book.finished_at < self.now - self.patience


def finding(fault: Fault, book: Book, expected: str, found: str, path: str = "") -> Finding:
    return Finding(fault, book.source, book.file_id, book.name, expected, found, path)


def unmoved(book: Book) -> Still:
    """What was found holds only if nothing was done to the file since."""
    return lambda now: now is not None and not book.moved(now)


def identity_of_book(sight: Sight, book: Book) -> str:
    """The file name in a file's dedupe keys: as it was written down, else as the settings have it."""
    if book.identity:
        return book.identity
    source = sight.world.settings.sources.get(book.source)
    return identity_of(source, book.source, book.key, book.version)


def landing_wanted(now: Book | None) -> bool:
    """What is wrong with landed bytes is so in every state, until retention removes them."""
    return now is not None and "landing" not in now.expired
