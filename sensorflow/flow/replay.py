"""Which files are replayed or undone, and why one was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sensorflow.core.states import State
from sensorflow.errors import Misuse
from sensorflow.flow.archived import before_archives, with_members
from sensorflow.flow.choose import chosen, require

if TYPE_CHECKING:
    from sensorflow.ports.catalog import Catalog, Member
    from sensorflow.ports.files import FileView
    from sensorflow.ports.ledger import Ledger

STATES = (State.QUARANTINED, State.LOADED, State.UNDONE)
"""Of files that can be replayed; without a word about the state, of the first two."""


@dataclass(frozen=True)
class Wanted:
    """Files to replay: these (see `choose.chosen`), or all that fit. None and False exclude nothing.

    since: arrived then or later. rejected: loaded, with rejected rows. prefix: before the name of an option
    in messages.
    """

    files: Sequence[str] = ()
    source: str | None = None
    since: datetime | None = None
    state: str | None = None
    rejected: bool = False
    prefix: str = ""

    def require(self) -> None:
        """Raises Misuse where nothing is chosen, or what cannot be together."""
        p = self.prefix
        if not (self.files or self.source or self.since or self.state or self.rejected):
            raise Misuse(f"name files, or choose by {p}source, {p}since, {p}state or {p}rejected")
        if self.state is not None:
            require(f"{p}state", self.state, "state of files that can be replayed", STATES)
        if self.rejected and self.state not in (None, State.LOADED):
            raise Misuse(f"{p}rejected is of loaded files; leave {p}state out")

    @property
    def states(self) -> tuple[str, ...]:
        if self.rejected:
            return (State.LOADED,)
        return (self.state,) if self.state else STATES[:2]


def to_replay(ledger: Ledger, wanted: Wanted) -> list[FileView]:
    """Raises Misuse for a file that is not there."""
    wanted.require()
    found = chosen(ledger, list(wanted.files), wanted.source, wanted.since, wanted.states)
    if wanted.files:
        found = with_members(ledger, found, STATES)
    if wanted.state is not None:
        found = [view for view in found if view.state == wanted.state]
    if wanted.since is not None:
        found = [view for view in found if view.landed_at >= wanted.since]
    return [view for view in found if view.counts.rejected] if wanted.rejected else found


def not_replayed(view: FileView) -> str:
    """Why a file was not replayed. view: as it was before."""
    gone = State(view.state) in STATES
    return "its bytes have expired, or it goes already" if gone else f"it is {view.state}"


def to_undo(
    ledger: Ledger, files: Sequence[str], source: str | None
) -> tuple[list[FileView], dict[int, list[Member]]]:
    """The files, in the order in which they are undone; and of archives the members that stay, for they
    came elsewhere too. Raises Misuse for a file that is not there."""
    found = chosen(ledger, list(files), source, None, tuple(State))
    found.reverse()  # of a file that grows, the last growth first
    return before_archives(ledger, found)


def not_undone(ledger: Catalog, view: FileView) -> str:
    """Why a file was not undone."""
    now = ledger.file(view.file_id) or view
    if now.state == State.RUNNING:
        return "a worker has it just now; try again in a moment"
    return f"it is {now.state}, not loaded"
