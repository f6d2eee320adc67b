"""How files of a source are taken in: as a whole, or in parts while they grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found
from sensorflow.ports.feed import Candidate, Feed

Unit: TypeAlias = list[Found]
"""What was landed of one candidate, in registration order. Registered all or none."""


class TooLarge(Exception):
    """The file needs a group of its own, so that others do not wait for it."""


class Strategy(Protocol):
    """The differences between sources of complete files (`Whole`) and of growing files (`Parts`);
    `take.Group` does the rest. All methods are called from one thread."""

    @property
    def feed(self) -> Feed: ...

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """As `Feed.poll`: yield what may be taken in."""
        ...

    def rewind(self) -> None:
        """As `Feed.rewind`."""
        ...

    def forget(self, key: bytes) -> None:
        """A file no longer exists."""
        ...

    def expect(self, candidates: Sequence[Candidate]) -> None:
        """Some of these are landed next. Facts about them can be queried in bulk."""
        ...

    def land(self, batch: LandingBatch, candidate: Candidate, room: float) -> Unit:
        """Land the new bytes of a file. Returns an empty list if the file is known, is changing, or has no
        new bytes.

        Raises FeedError. Raises TooLarge if more than `room` bytes would be landed; `room` is infinite for
        the first file of a group.
        """
        ...

    def sort(self, units: Sequence[Unit]) -> list[Unit]:
        """Returns the units to register, with their gates' announcements."""
        ...

    def land_again(self, landing: Landing, file: Found) -> None:
        """Land the bytes of a registered file once more."""
        ...

    def entered(self, files: Sequence[Found]) -> None:
        """These files were registered."""
        ...
