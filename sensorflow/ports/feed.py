"""Where files come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from sensorflow.core.gates.announced import Announcement
from sensorflow.ports.objects import Reader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Candidate:
    """A file of a source in one state, which seems complete.

    key: its name within the source, bytes as the feed has them. revision: names this state; nobody above
    the adapter reads it, the ledger keeps it as the fingerprint. size: bytes. modified_ns: when it was
    written, as its sender says; changed_ns: since when it is there in this state, by the clock of where it
    is. Nanoseconds since 1970, for the ledger keeps them all. A feed may hand out a subclass with what it
    needs to acknowledge the file.
    """

    source: str
    key: bytes
    revision: str
    size: int
    modified_ns: int
    changed_ns: int

    @property
    def modified_at(self) -> datetime:
        """In microseconds. Raises OverflowError for a time that no calendar has."""
        return EPOCH + timedelta(microseconds=self.modified_ns // 1000)


class FeedError(Exception):
    """Of one file; the others go on."""


class Gone(FeedError):
    """It is not there any more, or is no file by now."""


class Busy(FeedError):
    """It is still being written."""


class Unreadable(FeedError):
    """It cannot be read: its own disk, share or service fails."""


class Denied(Unreadable):
    """It may not be read."""


class Withheld(FeedError):
    """It is complete by itself, and waits for what announces it."""


@dataclass(frozen=True)
class Permit:
    """By whom files are acknowledged.

    token: of the intake lease. allowed: whether nobody else has taken over; asked before each file.
    """

    token: int = 0
    allowed: Callable[[], bool] = lambda: True


class Opened(Protocol):
    """An open file."""

    def read(self, size: int = -1, /) -> bytes:
        """Raises Unreadable."""
        ...

    def state(self) -> Candidate:
        """The file as it is now. What is open is asked, not its name, which may lead elsewhere by now; of
        an object it is what came with its body."""
        ...


class Taker(Protocol):
    """Who takes a feed's files in: what the feed may ask."""

    def wake(self) -> None:
        """There is something to poll. From any thread."""
        ...

    def is_known(self, candidate: Candidate) -> bool:
        """Whether a file was registered, or refused, in this state, and need not be offered again."""
        ...

    def is_registered(self, source: str, key: bytes, stream: Reader) -> bool:
        """Whether these bytes were ever registered under this key."""
        ...

    def vanished(self, source: str, key: bytes, why: str) -> None:
        """A file that was seen is gone before it was taken."""
        ...

    def scanned(self) -> None:
        """A look at everything is through."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """During a call that may wait for long."""
        ...


class Feed(Protocol):
    """The files of one source. All methods are called in one thread.

    Raises Transient STORAGE when what has the files is away. Adapters derive from it: what most of them do
    not need does nothing here.
    """

    name: str
    keeps: bool = False
    """Whether files stay where they are when they are acknowledged: the ledger is asked for each."""
    delay: float = 0.0
    """Seconds that the settings let a complete file lie before it is polled; what lies longer is late."""

    def start(self, taker: Taker) -> None:
        """Before the first `poll`."""
        return

    def stop(self) -> None:
        """No `poll` follows."""
        return

    def begin(self, by: Permit) -> None:
        """This process takes the source's files in from now on: finish what a killed one left half
        acknowledged, and offer all that is there. Idempotent."""
        return

    def stand_by(self) -> None:
        """Another process takes the source's files in: what is heard meanwhile need not be kept, as `begin`
        offers everything. Called again and again."""
        return

    def rewind(self) -> None:
        """Offer again what was polled and not acknowledged: the intake has dropped it."""
        return

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """Complete files, at least once; none may be missed for good.

        It never blocks: one thread serves all sources. A feed that must wait for an answer does so in a
        thread of its own, and wakes the `Taker`. Iterators, not a list: a source may hold millions, and has
        its turn with the others file by file. None where a step found nothing. now: monotonic seconds.

        It is called several times a second, also while iterators that it gave before are not through: a
        feed that begins another look each time gives each file once for every group that was taken.
        """
        ...

    def scan(self) -> Iterator[Candidate]:
        """Everything that is there and that the source takes, complete or not, for reconciliation."""
        ...

    def open(self, candidate: Candidate) -> AbstractContextManager[Opened]:
        """The file as it is by now, which `Opened.state` says. Raises Gone, Busy, Unreadable."""
        ...

    def unchanged(self, candidate: Candidate) -> bool:
        """Whether the file is there in this very state, and nobody writes to it. True of one that may not
        be read."""
        ...

    def admit(self, candidate: Candidate) -> None:
        """Raises Withheld for a complete file that waits for its gate. Apart from `open`: what is known, or
        too large for this turn, is not looked for."""
        return

    def survey(self) -> None:
        """For who looks once and does not poll: from now on all that is there counts as complete."""
        return

    def announcement(self, candidate: Candidate) -> Announcement | None:
        """The gate on whose word an admitted file is registered: it may have been touched since."""
        return None

    def ack(self, candidates: Sequence[Candidate], by: Permit) -> Mapping[Candidate, str]:
        """These are registered: archive, delete or keep them, commit or delete their messages. Each unless
        it is another file by now, or `by` does not allow it any more. Returns why, of those that are
        stuck."""
        ...

    def nack(self, candidate: Candidate, error: Exception) -> None:
        """This one was not taken; Gone, Busy and Withheld ones are offered again when that has changed."""
        return

    def reachable(self) -> bool:
        """Whether what has the files can be asked at all: asked after Transient STORAGE, which else pauses
        all sources. One that is away keeps no other waiting."""
        return True

    def has_other(self, key: bytes, than: Candidate) -> bool:
        """Whether another file than this one is there under `key`: some find one file by two spellings."""
        return False

    def state(self) -> Mapping[str, Any] | None:
        """Facts for people; of a source with gates, how many files wait."""
        return None


class OpenAnywhere(Opened, Protocol):
    """An open file that is read from any byte on."""

    def seek(self, offset: int, /) -> object: ...


@runtime_checkable
class GrowingFeed(Feed, Protocol):
    """A feed whose files grow, stay where they are, and are taken in parts, at most one of each in `delay`
    seconds.

    `poll` is not asked: the intake goes through `scan` again and again, and opens what may have more.
    """

    def open(self, candidate: Candidate) -> AbstractContextManager[OpenAnywhere]:
        """See `Feed.open`, but for Busy: a file is open for writing as long as it grows."""
        ...

    def place(self, candidate: Candidate) -> str:
        """What a file keeps under another name (see `core.growth.Taken.inode`)."""
        ...

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """Other files that this one may have been renamed or copied to, whether the source takes them or
        not; the one that was changed last is the first."""
        ...
