"""What is known of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensorflow.core.account import Account, account
from sensorflow.core.partitions import LayerFile
from sensorflow.core.states import Stage, State


@dataclass(frozen=True)
class Counts:
    """The account of one file, in readings: read = loaded + rejected + duplicate. missing is apart.

    replaced: the part of loaded whose place newer statements of the same readings have taken.
    """

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    missing: int = 0
    replaced: int = 0

    @property
    def served(self) -> int:
        """Rows of the file in the database, and in silver."""
        return self.loaded - self.replaced

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.duplicate


@dataclass(frozen=True)
class StageReport:
    """One stage done: how long it took (seconds), how many rows came out of it, and what is to be
    remembered of it in the file's history."""

    stage: Stage
    seconds: float
    rows: int
    note: str = ""


@dataclass(frozen=True)
class FileView:
    """A file as people see it; `facts` has every column of the ledger."""

    file_id: int
    source: str
    name: str
    version: int
    state: State
    stage: Stage
    counts: Counts
    facts: dict[str, Any]

    @property
    def account(self) -> Account:
        """What happened to each of its readings; what was undone or superseded is not loaded."""
        return account(self.state, **vars(self.counts))

    @property
    def layer_file(self) -> LayerFile:
        kind, received = self.facts["sensor_type"], self.facts["landed_at"]
        return LayerFile(self.source, kind, received, self.file_id, self.version)


@dataclass(frozen=True)
class Listed:
    """The first of the files that were asked for. total: how many there are."""

    files: list[FileView]
    total: int


@dataclass(frozen=True)
class ChainView:
    """A growing file as people see it: how many growths it has, and sums over the loaded ones (counts) and
    over all (account).

    size, lines: taken of it so far. newest: its last growth.
    """

    root: int
    growths: int
    states: dict[State, int]
    counts: Counts
    account: Account
    size: int
    lines: int
    newest: FileView
