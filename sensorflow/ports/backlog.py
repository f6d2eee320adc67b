"""The backlog of a source: the files in its feed that are stuck, with the reasons."""

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
    """The stuck files of a source, by kind of problem.

    files: the number of files that were inspected. is_complete: whether all files were inspected.
    unreadable, unfinished, overdue: keys of the files with these problems; see `Backlog.inspect`.
    not_included: keys of the files whose names do not match the patterns (`include`) of the source, by a
    pattern that they match, such as "*.pdf". cut_off: growing files that were renamed to a name that the
    source does not accept; key -> number of bytes that were not taken in. oldest: age in seconds of the
    oldest overdue file; 0 without overdue files.
    """

    files: int = 0
    is_complete: bool = True
    unreadable: list[bytes] = field(default_factory=list)
    unfinished: list[bytes] = field(default_factory=list)
    overdue: list[bytes] = field(default_factory=list)
    not_included: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    cut_off: dict[bytes, int] = field(default_factory=dict)
    oldest: float = 0.0


@dataclass(frozen=True)
class GatedFile:
    """A file that waits for its gate, or a gate that waits for its files.

    reason: what the file or gate waits for. age: the number of seconds for which it has been waiting.
    is_overdue: whether that is too long. is_gate: whether this is a gate.
    """

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
    """The backlog of one source. Read-only. A user waits for the results, so the methods must return
    quickly. Methods raise Transient if the storage or the ledger is unavailable."""

    name: str

    def is_reachable(self) -> bool:
        """Whether the storage of the source can be reached. See `Feed.is_reachable`."""
        ...

    def gated_files(self, audit_store: AuditStore | None = None) -> list[GatedFile]:
        """Returns the files that wait for their gates, and the gates that wait for their files.
        audit_store: used to find out whether a file that stays in place was already registered; None if the
        ledger cannot be queried."""
        ...

    def inspect(
        self,
        audit_store: AuditStore | None,
        late: float,
        unfinished: float,
        withheld: Set[bytes] = frozenset(),
    ) -> BacklogReport:
        """Returns the files that are stuck. A file is stuck if it is unreadable, overdue or unfinished, or
        if its name does not match the patterns (`include`) of the source.

        A file is overdue after `late` seconds and at least four stability windows. A file is unfinished if
        it has the name of a temporary file and has not changed for `unfinished` seconds. audit_store: see
        `gated_files`. withheld: keys of the files that wait for their gates.
        """
        ...


class GatedPath(Protocol):
    """A file in the drop folder of a source with gates. Its methods do not query the ledger.

    keeps: whether files stay in the folder after they are registered.
    """

    keeps: bool

    def is_gate(self) -> bool:
        """Whether the file is a gate rather than data."""
        ...

    def announced(self) -> Announced | None:
        """Returns the announcement in the file's gate. Raises `ports.feed.Withheld` if the gate is
        missing."""
        ...

    def differs(self, announced: Announced) -> str | None:
        """Returns a message that says how the file differs from an announcement, or None if there is no
        difference."""
        ...
