"""Archives and their members, for what is done with both."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.core.states import Stage, State
from sensorflow.errors import Misuse
from sensorflow.ports.catalog import Catalog, Member
from sensorflow.ports.files import FileView


def with_members(
    ledger: Catalog, views: Sequence[FileView], states: tuple[str, ...]
) -> list[FileView]:
    """These files, and of archives also the members that are in one of `states`."""
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
    """These files, each archive after the members that came in it alone, and of each archive the others,
    which stay. Members that are not loaded are left as they are.

    Raises Misuse while members wait: they would be loaded after their archive was undone.
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
    waiting = [
        m
        for m in members
        if m.state == State.RUNNING or (m.state == State.PENDING and m.stage != Stage.QUARANTINE)
        if not _holds_rows(m)
    ]
    if waiting:
        names = ", ".join(m.name for m in waiting[:3]) + (", …" if len(waiting) > 3 else "")
        raise Misuse(
            f"{archive.name}: {len(waiting):,} of its files are still on their way ({names}); undo it when "
            "`sensorflow files ls` shows them loaded"
        )


def _alone(
    ledger: Catalog, view: FileView, given: set[int]
) -> tuple[dict[int, None], list[Member]]:
    """The members of an archive that came in it, or in others that are given too, and nowhere else; and
    those that did come elsewhere."""
    if view.members is None:
        return {}, []
    members = ledger.members(view.file_id)
    elsewhere = [m for m in members if m.besides - given]
    kept = {m.file_id for m in elsewhere}
    return dict.fromkeys(m.file_id for m in members if m.file_id not in kept), elsewhere
