"""The port for what is stuck in a source's feed, for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announced
from sensorflow.core.health import span
from sensorflow.ports.audit import AuditStore


@dataclass
class BacklogReport:
    """Names by what is the matter with them; not_included by pattern, such as "*.pdf".

    cut_off: growing files that were renamed to what is not included, with the bytes behind what was taken
    of each. files: how many were looked at; whole: whether that was all. oldest: seconds, of those overdue.
    """

    files: int = 0
    whole: bool = True
    unreadable: list[bytes] = field(default_factory=list)
    unfinished: list[bytes] = field(default_factory=list)
    overdue: list[bytes] = field(default_factory=list)
    not_included: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    cut_off: dict[bytes, int] = field(default_factory=dict)
    oldest: float = 0.0


@dataclass(frozen=True)
class GatedFile:
    """A file that waits for its gate, or a gate that waits for its files (is_gate). age: in seconds."""

    source: str
    key: bytes = field(repr=False)
    reason: str
    age: float
    is_overdue: bool
    is_gate: bool = False

    @property
    def name(self) -> str:
        return printable(self.key)

    def as_dict(self) -> dict[str, Any]:
        kind = "gate" if self.is_gate else "file"
        facts = {"source": self.source, "name": self.name, "kind": kind, "why": self.reason}
        return {**facts, "seconds": round(self.age, 1), "overdue": self.is_overdue}

    def __str__(self) -> str:
        late = f", OVERDUE for {span(self.age)}" if self.is_overdue else f", for {span(self.age)}"
        return f"{self.name} of {self.source} {self.reason}{late}"


class Backlog(Protocol):
    """The backlog of one source. Read-only, and returns within the time that people wait. Methods raise
    Transient."""

    name: str

    def is_reachable(self) -> bool:
        """See `ports.feed.Feed`."""
        ...

    def gated_files(self, books: AuditStore | None = None) -> list[GatedFile]:
        """Returns files that wait for their gates, and gates that wait for their files. books: if given,
        files that stay in place are looked up there in bulk."""
        ...

    def inspect(
        self,
        books: AuditStore | None,
        late: float,
        unfinished: float,
        held: Set[bytes] = frozenset(),
    ) -> BacklogReport:
        """Returns the files that are stuck: unreadable; not included; overdue, that is there for more than
        `late` seconds and for four times the stability window; or still being written, by their names,
        after `unfinished` seconds. books: given if the ledger can be queried. held: keys of files that wait
        for their gates."""
        ...


class GatedPath(Protocol):
    """A single file in the drop folder of a source with gates. The ledger is not queried.

    keeps: whether files stay there after they are registered.
    """

    keeps: bool

    def is_gate(self) -> bool:
        """Whether the file is a gate, not data."""
        ...

    def announced(self) -> Announced | None:
        """Returns what the file's gate announces. Raises `ports.feed.Withheld` if the gate is missing."""
        ...

    def differs(self, what: Announced) -> str | None:
        """Returns how the file differs from what was announced, or None if it agrees."""
        ...
