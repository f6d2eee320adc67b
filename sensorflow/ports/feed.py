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
    """A file that a feed offers, with the file's present state. According to the feed, the file is
    complete.

    key: the file's name within the source, as the feed's raw bytes. revision: identifies this state; only
    the adapter interprets it, and the ledger stores it as the fingerprint. size: bytes. modified_ns: the
    modification time that the sender set. changed_ns: the time since which the file has existed in this
    state, by the clock of the machine that stores the file. Both times are nanoseconds since 1970. A feed
    may return a subclass with further data that the feed needs to acknowledge the file.
    """

    source: str
    key: bytes
    revision: str
    size: int
    modified_ns: int
    changed_ns: int

    @property
    def modified_at(self) -> datetime:
        """Returns the modification time, truncated to microseconds. Raises OverflowError if the year is not
        in the range of `datetime`."""
        return EPOCH + timedelta(microseconds=self.modified_ns // 1000)


class FeedError(Exception):
    """An error that concerns one file only."""


class Gone(FeedError):
    """The file no longer exists, or is no longer a regular file."""


class Busy(FeedError):
    """The file is still being written."""


class Unreadable(FeedError):
    """The file cannot be read because its disk, share or service fails."""


class Denied(Unreadable):
    """The process has no permission to read the file."""


class Withheld(FeedError):
    """The file is complete, but the gate that announces it is missing."""


@dataclass(frozen=True)
class Permit:
    """The permission to acknowledge files, which ends when another process acquires the intake lease.

    token: the token of the intake lease. is_allowed: a function that returns whether the permission is
    still valid. The feed must call it before it acknowledges each file.
    """

    token: int = 0
    is_allowed: Callable[[], bool] = lambda: True


class Opened(Protocol):
    """A file that is open for reading."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes, or all remaining bytes if `size` is -1. Raises Unreadable."""
        ...

    def state(self) -> Candidate:
        """Returns the current state of the open file. Implementations must query the open handle and not
        the name, because another file may have the name by now. For an object in a store, they return the
        state that the store sent with the content."""
        ...


class FeedHost(Protocol):
    """The functions of the intake that a feed may call."""

    def wake(self) -> None:
        """Report that `Feed.poll` may find files. May be called from any thread."""
        ...

    def is_known(self, candidate: Candidate) -> bool:
        """Whether the file was already registered or rejected in this state. If so, the feed does not have
        to offer the file again."""
        ...

    def is_registered(self, source: str, key: bytes, stream: Reader) -> bool:
        """Whether the bytes of `stream` were ever registered under `key`."""
        ...

    def file_vanished(self, source: str, key: bytes, reason: str) -> None:
        """Report that a file was seen but disappeared before it was taken in."""
        ...

    def scan_finished(self) -> None:
        """Report that a full scan has finished."""
        ...

    def long_call(self) -> AbstractContextManager[None]:
        """Returns a context manager. The feed enters it around a call that may block for a long time."""
        ...


class Feed(Protocol):
    """The files of one source. All methods are called from one thread.

    Methods raise Transient STORAGE if the storage of the files is unavailable. Adapters derive from this
    class; by default, the optional methods do nothing.
    """

    name: str
    keeps: bool = False
    """Whether files stay in place after they are acknowledged. If so, the intake looks up each file in the
    ledger, because the file may already be registered."""
    delay: float = 0.0
    """The number of seconds for which, according to the settings, a complete file waits before `poll`
    returns it."""

    def start(self, host: FeedHost) -> None:
        """Start the feed. Called before the first `poll`."""
        return

    def stop(self) -> None:
        """Stop the feed. `poll` is not called afterwards."""
        return

    def activate(self, permit: Permit) -> None:
        """Begin to offer files, because this process has acquired the intake lease of the source. Complete
        the acknowledgements that a killed process left incomplete, and offer every existing file.
        Idempotent."""
        return

    def stand_by(self) -> None:
        """Do not offer files, because another process has the intake lease of the source. Until the next
        call of `activate`, the feed may discard notifications, because `activate` offers every file. Called
        repeatedly."""
        return

    def rewind(self) -> None:
        """Offer all files again that `poll` has returned and that were not acknowledged, because the
        intake has forgotten them."""
        return

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """Returns iterators over the complete files. Each file is offered at least once; no file may be
        missed permanently.

        Must not block, because one thread serves all sources. If a feed must wait for its server, it waits
        in its own thread and then calls `FeedHost.wake`. The result consists of iterators and not of
        lists, because a source may contain millions of files, and because the intake alternates between
        sources after each file. An iterator yields None after a step that found no file. now: the present
        time, in seconds of a monotonic clock.

        `poll` is called several times a second, even while earlier iterators are not exhausted. It must not
        start a new scan on each call, because the intake would then receive the same files several times.
        """
        ...

    def scan(self) -> Iterator[Candidate]:
        """Yield every existing file that the source accepts, complete or not. Audits and backfills call
        this method; see also `GrowingFeed`."""
        ...

    def open(self, candidate: Candidate) -> AbstractContextManager[Opened]:
        """Open the file as it is now; its state may differ from the candidate's (see `Opened.state`).
        Raises Gone, Busy or Unreadable."""
        ...

    def is_unchanged(self, candidate: Candidate) -> bool:
        """Whether the file still exists in exactly this state and nobody is writing to it. Returns True for
        a file that this process has no permission to read."""
        ...

    def admit(self, candidate: Candidate) -> None:
        """Check that the gate of the file exists; called after `open`. Raises Withheld if the file is
        complete but its gate is missing. This method is separate from `open`, so that no gate is looked up
        for a file that is already known or too large for the current group."""
        return

    def treat_all_as_complete(self) -> None:
        """Treat every existing file as complete from now on. Called by commands that scan once and do not
        poll."""
        return

    def announcement(self, candidate: Candidate) -> Announcement | None:
        """Returns the announcement in the gate of an admitted file, or None if the file has no gate. The
        file may not match the announcement, because it may have been changed after the gate was
        written."""
        return None

    def ack(self, candidates: Sequence[Candidate], permit: Permit) -> Mapping[Candidate, str]:
        """Acknowledge registered files. A feed that reads from a folder or bucket archives, deletes or
        keeps the files; a feed that reads from a queue commits or deletes their messages. Skip a file if
        another file has replaced it, or if `permit` no longer allows its acknowledgement. Returns the files
        that could not be acknowledged, each with the reason."""
        ...

    def nack(self, candidate: Candidate, error: Exception) -> None:
        """Report that a file was not taken in. error: the reason. After Gone, Busy or Withheld, the feed
        must offer the file again as soon as the reason no longer applies."""
        return

    def is_reachable(self) -> bool:
        """Whether the storage of the files can be reached. The intake calls this after Transient STORAGE.
        If the result is False, it pauses only this source; if True, it pauses all sources."""
        return True

    def has_other(self, key: bytes, than: Candidate) -> bool:
        """Whether a file other than `than` exists under `key`. If the store finds `than` itself under
        `key`, the result is False: some stores find a file under both Unicode spellings of its name."""
        return False

    def state(self) -> Mapping[str, Any] | None:
        """Returns status fields for display, or None. For a source with gates, they include the number of
        waiting files."""
        return None


class OpenAnywhere(Opened, Protocol):
    """An open file that can be read from any byte offset."""

    def seek(self, offset: int, /) -> object: ...


@runtime_checkable
class GrowingFeed(Feed, Protocol):
    """A feed whose files grow and stay in place. Files are taken in as parts, at most one part of each file
    per `delay` seconds.

    `poll` is not called. The intake calls `scan` repeatedly, and opens the files that may have new bytes.
    """

    def open(self, candidate: Candidate) -> AbstractContextManager[OpenAnywhere]:
        """Open the file as `Feed.open` does, but do not raise Busy, because the writer of a growing file
        may keep it open."""
        ...

    def place(self, candidate: Candidate) -> str:
        """Returns an identifier that survives a rename of the file (see `core.growth.Ingested.inode`)."""
        ...

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        """Returns the other files to which this file may have been renamed or copied, including files with
        names that the source does not accept. The most recently changed file comes first."""
        ...
