"""The port for sources of files."""

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
    """One state of a file in a source; the file seems complete.

    key: the file's name within the source, as the feed's raw bytes. revision: identifies this state; only
    the adapter interprets it, and the ledger stores it as the fingerprint. size: in bytes. modified_ns: the
    modification time that the sender set. changed_ns: the time since which the file has existed in this
    state, by the clock of the machine that stores it. Both times are nanoseconds since 1970, because the
    ledger stores full precision. A feed may return a subclass that carries what it needs to acknowledge the
    file.
    """

    source: str
    key: bytes
    revision: str
    size: int
    modified_ns: int
    changed_ns: int

    @property
    def modified_at(self) -> datetime:
        """Returns the modification time in microseconds. Raises OverflowError if it is outside the
        calendar."""
        return EPOCH + timedelta(microseconds=self.modified_ns // 1000)


class FeedError(Exception):
    """An error of a single file. Other files are not affected."""


class Gone(FeedError):
    """The file no longer exists, or is no longer a regular file."""


class Busy(FeedError):
    """The file is still being written."""


class Unreadable(FeedError):
    """The file cannot be read because its disk, share or service fails."""


class Denied(Unreadable):
    """Permission to read the file is denied."""


class Withheld(FeedError):
    """The file itself is complete, but the gate that announces it is still missing."""


@dataclass(frozen=True)
class Permit:
    """The permission under which files are acknowledged.

    token: the token of the intake lease. is_allowed: returns False once another process has taken over the
    intake. Call it before you acknowledge each file.
    """

    token: int = 0
    is_allowed: Callable[[], bool] = lambda: True


class Opened(Protocol):
    """An open file."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes; all that is left if -1. Raises Unreadable."""
        ...

    def state(self) -> Candidate:
        """Returns the current state of the open file. Query the open handle, not the name, which may refer
        to another file by now. For an object, the state is the one that was returned with its body."""
        ...


class FeedHost(Protocol):
    """The side that takes in a feed's files, as the feed sees it."""

    def wake(self) -> None:
        """Signal that there may be something to poll. May be called from any thread."""
        ...

    def is_known(self, candidate: Candidate) -> bool:
        """Whether the file was already registered or refused in this state. The feed need not offer it
        again."""
        ...

    def is_registered(self, source: str, key: bytes, stream: Reader) -> bool:
        """Whether these bytes were ever registered under this key."""
        ...

    def file_vanished(self, source: str, key: bytes, reason: str) -> None:
        """Report that a file was seen but disappeared before it was taken in."""
        ...

    def scan_finished(self) -> None:
        """Report that a full scan has finished."""
        ...

    def long_call(self) -> AbstractContextManager[None]:
        """Returns a context manager. Enter it around a call that may block for long."""
        ...


class Feed(Protocol):
    """The files of one source. All methods are called from one thread.

    Methods raise Transient STORAGE if the storage that holds the files is unavailable. Adapters derive from
    this class; the optional methods do nothing by default.
    """

    name: str
    keeps: bool = False
    """Whether files stay in place when they are acknowledged. If so, each one is looked up in the ledger.
    """
    delay: float = 0.0
    """Seconds that the settings let a complete file wait before it is polled. A file that waits longer is
    late."""

    def start(self, host: FeedHost) -> None:
        """Start the feed. Called before the first `poll`."""
        return

    def stop(self) -> None:
        """Stop the feed. `poll` is not called afterwards."""
        return

    def activate(self, permit: Permit) -> None:
        """Become the process that takes in the source's files. Finish the acknowledgements that a killed
        process left incomplete, and offer every file that exists. Idempotent."""
        return

    def stand_by(self) -> None:
        """Another process takes in the source's files. The feed may drop the notifications that it receives
        meanwhile, because `activate` offers every file. Called repeatedly."""
        return

    def rewind(self) -> None:
        """Offer again all files that were polled and not acknowledged. The intake has dropped them."""
        return

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """Returns iterators over the complete files. Each file is offered at least once; none may be missed
        permanently.

        Must not block: one thread serves all sources. A feed that must wait for an answer waits in its own
        thread and calls `FeedHost.wake`. The result consists of iterators, not lists, because a source may
        hold millions of files and the intake alternates between sources after each file. An iterator yields
        None if a step found no file. now: monotonic seconds.

        `poll` is called several times a second, also while earlier iterators are not exhausted. A feed that
        starts another scan on each call offers each file once per group that is taken in.
        """
        ...

    def scan(self) -> Iterator[Candidate]:
        """Yield every file that exists and that the source accepts, complete or not. Used for
        reconciliation."""
        ...

    def open(self, candidate: Candidate) -> AbstractContextManager[Opened]:
        """Open the file in its current state, which `Opened.state` returns. Raises Gone, Busy or
        Unreadable."""
        ...

    def is_unchanged(self, candidate: Candidate) -> bool:
        """Whether the file still exists in exactly this state and nobody is writing to it. Returns True for
        a file that may not be read."""
        ...

    def admit(self, candidate: Candidate) -> None:
        """Raises Withheld if the file is complete but waits for its gate. Separate from `open` because the
        gate of a file that is known, or too large for this turn, is not looked up."""
        return

    def treat_all_as_complete(self) -> None:
        """From now on, treat every existing file as complete. Called by code that scans once and does not
        poll."""
        return

    def announcement(self, candidate: Candidate) -> Announcement | None:
        """Returns the gate on which an admitted file is registered, or None. The file may have been touched
        after the gate was written."""
        return None

    def ack(self, candidates: Sequence[Candidate], permit: Permit) -> Mapping[Candidate, str]:
        """Acknowledge registered files: archive, delete or keep them, and commit or delete their messages.
        Skip a file that has been replaced by another, or that `permit` no longer allows. Returns the
        files that could not be acknowledged, each with the reason."""
        ...

    def nack(self, candidate: Candidate, error: Exception) -> None:
        """Report that a file was not taken in. After Gone, Busy or Withheld, offer it again once that
        condition has changed."""
        return

    def is_reachable(self) -> bool:
        """Whether the storage can be reached at all. Called after Transient STORAGE, which otherwise pauses
        all sources. An unreachable source does not delay the others."""
        return True

    def has_other(self, key: bytes, than: Candidate) -> bool:
        """Whether a file other than `than` exists under `key`. Some stores find one file under two
        spellings."""
        return False

    def state(self) -> Mapping[str, Any] | None:
        """Returns facts for people, or None. For a source with gates, includes how many files wait."""
        return None


class OpenAnywhere(Opened, Protocol):
    """An open file that can be read from any byte offset."""

    def seek(self, offset: int, /) -> object: ...


@runtime_checkable
class GrowingFeed(Feed, Protocol):
    """A feed whose files grow and stay in place. They are taken in parts, at most one part of each file per
    `delay` seconds.

    `poll` is not called. The intake calls `scan` repeatedly and opens files that may have new bytes.
    """

    def open(self, candidate: Candidate) -> AbstractContextManager[OpenAnywhere]:
        """As `Feed.open`, but does not raise Busy: a growing file is always open for writing."""
        ...

    def place(self, candidate: Candidate) -> str:
        """Returns an identifier that survives a rename of the file (see `core.growth.Taken.inode`)."""
        ...

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """Returns other files that this one may have been renamed or copied to, whether the source accepts
        them or not. The most recently changed file comes first."""
        ...
