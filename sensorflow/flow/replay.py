"""Select files to replay or undo, and explain why a file was not replayed or undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sensorflow.core.states import State
from sensorflow.errors import UsageError
from sensorflow.flow.archived import before_archives, with_members
from sensorflow.flow.choose import chosen, require

if TYPE_CHECKING:
    from sensorflow.ports.catalog import Catalog, Member
    from sensorflow.ports.files import FileView
    from sensorflow.ports.ledger import Ledger

STATES = (State.QUARANTINED, State.LOADED, State.UNDONE)
"""States of files that can be replayed. If no state is requested, only the first two are selected."""


@dataclass(frozen=True)
class ReplayFilter:
    """The files that a user wants to replay: the given files (see `choose.chosen`), or all files that match
    the other criteria. A criterion that is None or False matches every file.

    since: only files that arrived at or after this time. rejected: only loaded files with rejected rows.
    prefix: written before the names of options in messages.
    """

    files: Sequence[str] = ()
    source: str | None = None
    since: datetime | None = None
    state: str | None = None
    rejected: bool = False
    prefix: str = ""

    def require(self) -> None:
        """Raises UsageError if nothing is selected, or if options contradict each other."""
        p = self.prefix
        if not (self.files or self.source or self.since or self.state or self.rejected):
            raise UsageError(
                f"name files, or select them by {p}source, {p}since, {p}state or {p}rejected"
            )
        if self.state is not None:
            require(f"{p}state", self.state, "state of files that can be replayed", STATES)
        if self.rejected and self.state not in (None, State.LOADED):
            raise UsageError(f"{p}rejected applies to loaded files only; leave out {p}state")

    @property
    def states(self) -> tuple[str, ...]:
        if self.rejected:
            return (State.LOADED,)
        return (self.state,) if self.state else STATES[:2]


def to_replay(ledger: Ledger, replay_filter: ReplayFilter) -> list[FileView]:
    """Returns the selected files. Raises UsageError for a file that does not exist."""
    replay_filter.require()
    found = chosen(
        ledger,
        list(replay_filter.files),
        replay_filter.source,
        replay_filter.since,
        replay_filter.states,
    )
    if replay_filter.files:
        found = with_members(ledger, found, STATES)
    if replay_filter.state is not None:
        found = [view for view in found if view.state == replay_filter.state]
    if replay_filter.since is not None:
        found = [view for view in found if view.landed_at >= replay_filter.since]
    return [view for view in found if view.counts.rejected] if replay_filter.rejected else found


def not_replayed(view: FileView) -> str:
    """Returns why a file was not replayed. view: the file before the attempt."""
    gone = State(view.state) in STATES
    return (
        "its landed bytes have expired, or it is already being processed"
        if gone
        else f"it is {view.state}"
    )


def to_undo(
    ledger: Ledger, files: Sequence[str], source: str | None
) -> tuple[list[FileView], dict[int, list[Member]]]:
    """Returns the files in the order in which to undo them, and for each archive (by id) the members that
    are not undone because they also arrived in another way. Raises UsageError for a file that does not
    exist."""
    found = chosen(ledger, list(files), source, None, tuple(State))
    found.reverse()  # for a growing file, the last part first
    return before_archives(ledger, found)


def not_undone(ledger: Catalog, view: FileView) -> str:
    """Returns why a file was not undone."""
    now = ledger.file(view.file_id) or view
    if now.state == State.RUNNING:
        return "a worker is processing it; try again in a moment"
    return f"it is {now.state}, not loaded"
