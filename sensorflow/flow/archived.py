"""Commands that apply to archives together with their members."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.core.states import Stage, State
from sensorflow.errors import UsageError
from sensorflow.ports.catalog import Catalog, Member
from sensorflow.ports.files import FileView


def with_members(
    ledger: Catalog, views: Sequence[FileView], states: tuple[str, ...]
) -> list[FileView]:
    """Returns the given files and, for each archive among them, its members that are in one of `states`."""
    found = {view.file_id: view for view in views}
    for view in views:
        members = ledger.members(view.file_id) if view.members is not None else []
        for number in dict.fromkeys(m.file_id for m in members):
            other = ledger.file(number)
            if number not in found and other is not None and other.state in states:
                found[number] = other
    return list(found.values())


def before_archives(
    ledger: Catalog, views: Sequence[FileView]
) -> tuple[list[FileView], dict[int, list[Member]]]:
    """Returns (files to undo, in order; id of an archive -> members of this archive to keep).

    The files to undo are the given files. The loaded members of a given archive are undone before the
    archive. A member is kept if it also arrived by itself or in an archive that is not given. Members that
    are not loaded are left unchanged.

    Raises UsageError while members are pending, because they would be loaded after their archive was
    undone.
    """
    given = {view.file_id for view in views}
    found: dict[int, FileView] = {}
    shared: dict[int, list[Member]] = {}
    for view in views:
        alone, shared[view.file_id] = _alone(ledger, view, given)
        members = [other for n in alone if (other := ledger.file(n)) is not None]
        _require_done(view, members)
        found |= {m.file_id: m for m in members if m.state == State.LOADED or _holds_rows(m)}
        found[view.file_id] = view
    return list(found.values()), shared


def _holds_rows(view: FileView) -> bool:
    return view.state == State.PENDING and view.previous is not None


def _require_done(archive: FileView, members: list[FileView]) -> None:
    entry = [
        m
        for m in members
        if m.state == State.RUNNING or (m.state == State.PENDING and m.stage != Stage.QUARANTINE)
        if not _holds_rows(m)
    ]
    if entry:
        names = ", ".join(m.name for m in entry[:3]) + (", …" if len(entry) > 3 else "")
        raise UsageError(
            f"{archive.name}: {len(entry):,} of its files are not finished ({names}); undo the archive "
            "when `sensorflow files ls` shows these files as loaded"
        )


def _alone(
    ledger: Catalog, view: FileView, given: set[int]
) -> tuple[dict[int, None], list[Member]]:
    """Returns the members that arrived only in this archive or in other given archives, and the members
    that also arrived in another way."""
    if view.members is None:
        return {}, []
    members = ledger.members(view.file_id)
    elsewhere = [m for m in members if m.besides - given]
    in_other_archives = {m.file_id for m in elsewhere}
    return dict.fromkeys(
        m.file_id for m in members if m.file_id not in in_other_archives
    ), elsewhere
