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
SUMS = (
    *(f"rows_{n}" for n in ("read", "loaded", "rejected", "duplicate", "not_loaded", "replaced")),
    *dict.fromkeys(LEFT.values()),
)


def nothing() -> dict[str, int]:
    """The sums over no files."""
    return dict.fromkeys(("files", *State, *SUMS), 0)


def add(sums: dict[str, int], state: State, files: int, found: Account) -> None:
    """Add files of one state with their account."""
    sums["files"] += files
    sums[state] += files
    for name, count in vars(found).items():
        if f"rows_{name}" in sums:
            sums[f"rows_{name}"] += count
    if state in LEFT:
        sums[LEFT[state]] += found.not_loaded
