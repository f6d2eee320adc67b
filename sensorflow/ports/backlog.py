"""What is in a source's feed and does not go on, for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announced
from sensorflow.core.health import span
from sensorflow.ports.audit import Books


@dataclass
class Left:
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
class Waiting:
    """A file that waits for its gate, or a gate that waits (is_gate). age: seconds."""

    source: str
    key: bytes = field(repr=False)
    why: str
    age: float
    is_overdue: bool
    is_gate: bool = False

    @property
    def name(self) -> str:
        return printable(self.key)

    def as_dict(self) -> dict[str, Any]:
        kind = "gate" if self.is_gate else "file"
        facts = {"source": self.source, "name": self.name, "kind": kind, "why": self.why}
        return {**facts, "seconds": round(self.age, 1), "overdue": self.is_overdue}

    def __str__(self) -> str:
        late = f", OVERDUE for {span(self.age)}" if self.is_overdue else f", for {span(self.age)}"
        return f"{self.name} of {self.source} {self.why}{late}"


class Backlog(Protocol):
    """Of one source. Looks only, and no longer than people wait. Raises Transient."""

    name: str

    def reachable(self) -> bool:
        """See `ports.feed.Feed`."""
        ...

    def waiting(self, books: Books | None = None) -> list[Waiting]:
        """Files that wait for their gates, and gates that wait. books: where it is given, files that are
        kept are looked up there many at a time."""
        ...

    def left(
        self, books: Books | None, late: float, unfinished: float, held: Set[bytes] = frozenset()
    ) -> Left:
        """What is unreadable; not included; there for more than `late` seconds, and for four times as long
        as a file settles; still written, by its name, after `unfinished` seconds. books: where the ledger
        can be asked. held: keys of files that wait for their gates."""
        ...


class Beside(Protocol):
    """A file in the drop folder of a source with gates, by itself: the ledger is not asked.

    keeps: whether files stay there when they are registered.
    """

    keeps: bool

    def is_gate(self) -> bool:
        """Whether it is no data, but says something of them."""
        ...

    def announced(self) -> Announced | None:
        """What its gate says. Raises `ports.feed.Withheld` where it waits for one."""
        ...

    def differs(self, what: Announced) -> str | None:
        """How it differs from what was announced."""
        ...
