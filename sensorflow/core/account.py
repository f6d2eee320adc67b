"""The account of a file: the numbers of its readings that were loaded, rejected, and so on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from sensorflow.core.states import State


@dataclass(frozen=True)
class Account:
    """The numbers of readings of a file. In every state, read = loaded + rejected + duplicate + not_loaded;
    missing cells are not part of `read`.

    loaded: readings that the file loaded. replaced: the number of these readings that other files have
    replaced since. not_loaded: valid readings that are not in the database, because the file is pending,
    running, quarantined, undone or superseded.
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
    """Return the account for a ledger row's counts. For a loaded file, not_loaded is always 0, so that a
    missing reading shows as an unbalanced account.

    >>> account(State.QUARANTINED, 3, 0, 2, 0).not_loaded, account(State.UNDONE, 5, 5, 0, 0).loaded
    (1, 0)
    """
    if state is State.LOADED:
        return Account(read, loaded, rejected, duplicate, 0, missing, replaced)
    return Account(read, 0, rejected, duplicate, read - rejected - duplicate, missing, 0)


def total(accounts: Iterable[Account]) -> Account:
    """Return the sum of several accounts."""
    return Account(*(sum(column) for column in zip(*map(astuple, accounts), strict=True)))


LEFT = {
    State.PENDING: "rows_waiting",
    State.RUNNING: "rows_waiting",
    State.QUARANTINED: "rows_quarantined",
    State.SUPERSEDED: "rows_superseded",
    State.UNDONE: "rows_undone",
}
"""State -> a field of `Totals`. The field counts the valid readings of the files in this state, none of
which are loaded."""


@dataclass(frozen=True)
class Totals:
    """The totals of some files: the number of files, in total and by state, and the sums of their
    accounts."""

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
        """Create the totals of files in one state. files: number of files. found: the sum of their
        accounts."""
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
