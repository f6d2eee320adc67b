"""The account of a file: what happened to each reading that was read of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from sensorflow.core.states import State


@dataclass(frozen=True)
class Account:
    """read = loaded + rejected + duplicate + not_loaded, whatever the file's state. missing is apart.

    loaded: in the database now, but for the part that was replaced. not_loaded: good readings that are not
    in the database: of a file in quarantine, of one that was undone or superseded, or of one that waits.
    """

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    not_loaded: int = 0
    missing: int = 0
    replaced: int = 0

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.duplicate + self.not_loaded


def account(
    state: State,
    read: int,
    loaded: int,
    rejected: int,
    duplicate: int,
    missing: int = 0,
    replaced: int = 0,
) -> Account:
    """From what the ledger counts. Of a loaded file nothing is left over: what does not add up shows.

    >>> account(State.QUARANTINED, 3, 0, 2, 0).not_loaded, account(State.UNDONE, 5, 5, 0, 0).loaded
    (1, 0)
    """
    if state is State.LOADED:
        return Account(read, loaded, rejected, duplicate, 0, missing, replaced)
    return Account(read, 0, rejected, duplicate, read - rejected - duplicate, missing, 0)


def total(accounts: Iterable[Account]) -> Account:
    """The account of several files."""
    return Account(*(sum(column) for column in zip(*map(astuple, accounts), strict=True)))


LEFT = {
    State.PENDING: "rows_waiting",
    State.RUNNING: "rows_waiting",
    State.QUARANTINED: "rows_quarantined",
    State.SUPERSEDED: "rows_superseded",
    State.UNDONE: "rows_undone",
}
"""Where good readings are that are not loaded: the parts of `rows_not_loaded`."""


@dataclass(frozen=True)
class Totals:
    """How many files there are, in all and by state, and sums over their accounts."""

    files: int = 0
    pending: int = 0
    running: int = 0
    loaded: int = 0
    quarantined: int = 0
    superseded: int = 0
    undone: int = 0
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    rows_not_loaded: int = 0
    rows_replaced: int = 0
    rows_waiting: int = 0
    rows_quarantined: int = 0
    rows_superseded: int = 0
    rows_undone: int = 0

    @classmethod
    def of(cls, state: State, files: int, found: Account) -> Totals:
        """Of files of one state with their account."""
        sums = {f"rows_{name}": count for name, count in vars(found).items() if name != "missing"}
        if state in LEFT:
            sums[LEFT[state]] = found.not_loaded
        return cls(files=files, **{str(state): files}, **sums)

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def balanced(self) -> bool:
        accounted = (
            self.rows_loaded + self.rows_rejected + self.rows_duplicate + self.rows_not_loaded
        )
        return self.rows_read == accounted
