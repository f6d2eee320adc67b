"""The feed of a drop folder with growing files."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.feed import FolderFeed, file_of, stat_in
from sensorflow.adapters.feeds.folder.gates import NoRegistrations
from sensorflow.core.stability import Stat
from sensorflow.ports.feed import Candidate, GrowingFeed


class GrowingFolder(FolderFeed, GrowingFeed):
    """Implements `ports.feed.GrowingFeed` for a drop folder."""

    def __init__(self, folder: DropFolder) -> None:
        super().__init__(folder, NoRegistrations())
        self.delay = folder.source.grow_every

    def place(self, candidate: Candidate) -> str:
        return place_of(stat_in(candidate))

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        return [file_of(self.name, *pair) for pair in self.folder.siblings(candidate.key)]


def place_of(stat: Stat) -> str:
    return f"{stat.device}:{stat.inode}"
