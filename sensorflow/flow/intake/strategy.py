"""The two ways to take in files of a source: complete files as a whole, growing files in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found
from sensorflow.ports.feed import Candidate, Feed

Unit: TypeAlias = list[Found]
"""The landed parts of one candidate, in the order in which to register them. All or none are registered."""


class TooLarge(Exception):
    """Raised for a file that needs its own group, so that other files do not wait for this file."""


class Strategy(Protocol):
    """The steps of the intake that differ between sources of complete files (`WholeFiles`) and of
    growing files (`Parts`). `take.Group` does all other steps. All methods are called from one thread."""

    @property
    def feed(self) -> Feed: ...

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """Yield the files that may be taken in, as `Feed.poll` does."""
        ...

    def rewind(self) -> None:
        """Offer once more all files that are not acknowledged, as `Feed.rewind` does."""
        ...

    def forget(self, key: bytes) -> None:
        """Forget a file that no longer exists."""
        ...

    def expect(self, candidates: Sequence[Candidate]) -> None:
        """Prepare for landing some of these files, for example by one query for all of them."""
        ...

    def land(self, batch: LandingBatch, candidate: Candidate, room: float) -> Unit:
        """Land the new bytes of a file. Returns an empty list if the file is known, is being changed, or
        has no new bytes.

        Raises FeedError. Raises TooLarge if more than `room` bytes would be landed; `room` is infinite for
        the first file of a group.
        """
        ...

    def sort(self, units: Sequence[Unit]) -> list[Unit]:
        """Returns the units to register, with the announcements of their gates."""
        ...

    def land_again(self, landing: Landing, file: Found) -> None:
        """Land the bytes of a registered file again."""
        ...

    def entered(self, files: Sequence[Found]) -> None:
        """Called after these files were registered."""
        ...
