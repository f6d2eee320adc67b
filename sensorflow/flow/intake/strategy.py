"""How the files of a source are taken in: whole, or in parts while they grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found
from sensorflow.ports.feed import Candidate, Feed

Unit: TypeAlias = list[Found]
"""What was landed of one candidate, in the order in which it is registered: all of it or nothing."""


class TooLarge(Exception):
    """A file for a group of its own: the others are not to wait for it."""


class Strategy(Protocol):
    """What differs between sources of whole files (`Whole`) and of growing ones (`Parts`); all else is
    `take.Group`'s. All methods are called in one thread."""

    @property
    def feed(self) -> Feed: ...

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """As `Feed.poll`: what may be taken."""
        ...

    def rewind(self) -> None:
        """As `Feed.rewind`."""
        ...

    def forget(self, key: bytes) -> None:
        """A file is gone."""
        ...

    def expect(self, candidates: Sequence[Candidate]) -> None:
        """Some of these are landed next: what there is to ask of them can be asked for together."""
        ...

    def land(self, batch: LandingBatch, candidate: Candidate, room: float) -> Unit:
        """Land what is new of a file; nothing where it is known, changes, or has nothing new.

        Raises FeedError; TooLarge where it would land more than `room` bytes, which is infinite for the
        first file of a group.
        """
        ...

    def sort(self, units: Sequence[Unit]) -> list[Unit]:
        """Those to be registered, with what their gates say."""
        ...

    def land_again(self, landing: Landing, file: Found) -> None:
        """Land what a registered file was made of once more."""
        ...

    def entered(self, files: Sequence[Found]) -> None:
        """These are registered."""
        ...
