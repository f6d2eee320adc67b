"""The steps that both sides take. Plain values: they are pickled for the processes that take them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WaitCondition(StrEnum):
    """What a step waits for."""

    FINISHED = "no file is pending or running, and the file was registered"
    REGISTERED = "the file has left the drop folder"
    NOTHING = "nothing: a gate, or a file that waits for its gate"


@dataclass(frozen=True)
class PutFile:
    """A file is renamed into a drop folder. mtime: seconds since 1970."""

    source: str
    name: str
    content: bytes
    mtime: int
    until: WaitCondition = WaitCondition.FINISHED


@dataclass(frozen=True)
class GrowFile:
    """A file of a drop folder is written from `offset` on, while the daemon is halted: it never sees half
    of it, or another mtime. Waits for a new arrival."""

    source: str
    name: str
    content: bytes
    mtime: int
    offset: int = 0


@dataclass(frozen=True)
class Start:
    """A process: daemon, worker or beat. env: over the project's own."""

    process: str
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    process: str


@dataclass(frozen=True)
class WaitUntilIdle:
    """Until no file is pending or running."""


@dataclass(frozen=True)
class WaitForGarbageCollection:
    """Until beat's sweeps have removed what is left in the lake of files that no longer want it."""


@dataclass(frozen=True)
class Messages:
    """What waits in the broker, kept under a label. least: as many must be there before it is read."""

    label: str
    least: int


@dataclass(frozen=True)
class RunCommand:
    """A command of the CLI: exit code and output are kept under its words.

    json: parsed and compared key by key, each line by itself where it is of several. quiet: until no file
    is pending or running afterwards.
    """

    words: tuple[str, ...]
    quiet: bool = False

    @property
    def json(self) -> bool:
        return "--json" in self.words or self.words[:2] == ("quarantine", "show")


@dataclass(frozen=True)
class Age:
    """What is finished of a source is made older, for retention: seconds."""

    source: str
    seconds: int


@dataclass(frozen=True)
class RemoveData:
    """A part of the data folder is removed, for the audit to find. glob: the first that fits."""

    glob: str


@dataclass(frozen=True)
class Dump:
    """Ledger, readings, schema, lake, landing zone and quarantine, as they are now."""

    label: str


Step = (
    PutFile
    | GrowFile
    | Start
    | Stop
    | WaitUntilIdle
    | WaitForGarbageCollection
    | Messages
    | RunCommand
    | Age
    | RemoveData
    | Dump
)
