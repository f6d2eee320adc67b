"""sensorflow replay, sensorflow undo"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import line, readings, table
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.ports import FileView, Ledger

Files = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="Numbers or names of files.")
]
Source = Annotated[str | None, typer.Option(help="Only files of this source.")]


def replay(
    files: Files = None,
    source: Source = None,
    since: Annotated[
        str | None, typer.Option(help="Only files that arrived since then: 2026-01-31, UTC.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="quarantined, loaded or undone; default: the first two.")
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Only loaded files that have rejected rows.")
    ] = False,
    profile: Annotated[
        str | None, typer.Option(help="Read them by this profile, not by their source's.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
) -> None:
    """Take files through the pipeline again, from their landed bytes.

    What is in the database already and right is not touched: only what is missing is added, and what
    no longer belongs there is removed, at one instant.
    """
    from sensorflow import bootstrap
    from sensorflow.core.states import State

    settings = bootstrap.settings()
    if not files and not (source or since or state or rejected):
        raise Misuse("name files, or choose by --source, --since, --state or --rejected")
    if profile is not None and settings.profile(profile) is None:
        raise Misuse(f"--profile {profile}: no such profile; see `sensorflow profiles ls`")
    states = _states(state, rejected)
    ledger = bootstrap.ledger(settings, "cli")
    found = chosen(ledger, files or [], source, _time(since), states)
    if rejected:
        found = [view for view in found if view.counts.rejected]
    if not found:
        line("no such file; see `sensorflow files ls`")
        return
    if dry_run:
        rows = [[v.file_id, v.source, v.name, str(v.state), v.counts.rejected] for v in found]
        table("", ("id", "source", "file", "state", "rejected"), rows)
        return
    refused = [v for v in found if not ledger.replay(v.file_id, profile)]
    done = len(found) - len(refused)
    if done:
        goes = "file goes" if done == 1 else "files go"
        line(f"{done:,} {goes} through again when a worker is free; see `sensorflow files ls`")
    for view in refused:
        gone = State(view.state) in (State.LOADED, State.QUARANTINED, State.UNDONE)
        why = "its bytes have expired, or it goes already" if gone else f"it is {view.state}"
        line(f"not replayed: {view.file_id} {view.name}: {why}")
    if refused:
        raise typer.Exit(1)


def undo(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Numbers or names.")],
    source: Source = None,
    why: Annotated[str, typer.Option(help="For the file's history.")] = "",
) -> None:
    """Take exactly these files' rows out of the database and of silver. `replay` brings them back."""
    from sensorflow import bootstrap
    from sensorflow.core.states import State
    from sensorflow.flow.undo import undo as undo_flow

    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    lake, landing = bootstrap.lake(settings), bootstrap.landing(settings)
    refused = False
    found = chosen(ledger, files, source, None, tuple(State))
    found.reverse()  # of a file that grows, the last growth first
    along = [view.file_id for view in found]
    lasts = {(view.source, view.name): view.file_id for view in found}
    for view in found:
        rows = undo_flow(ledger, lake, landing, view.file_id, why, along)
        if rows is None:
            refused = True
            line(f"not undone: {view.file_id} {view.name}: {_hindrance(ledger, view)}")
        else:
            line(f"undone: {view.file_id} {view.name}: {readings(rows)} taken out")
            names = {a["name"] for a in ledger.arrivals(view.file_id)} - {view.name}
            if names:
                line(f"  the same bytes also came as {', '.join(sorted(names))}")
            last = lasts[view.source, view.name] == view.file_id  # said once for a file that grows
            if last and (returning := _returning(ledger, view)):
                line(f"  what it had replaced comes back from {returning} when a worker is free")
            line(f"  to reverse it: sensorflow replay {view.file_id}")
    if refused:
        raise typer.Exit(1)


def _hindrance(ledger: Ledger, view: FileView) -> str:
    now = ledger.file(view.file_id) or view
    if now.state == "running":
        return "a worker has it just now; try again in a moment"
    return f"it is {now.state}, not loaded"


def _returning(ledger: Ledger, undone: FileView) -> str:
    """The older versions that go through again, and hold again what an undone one had replaced."""
    found = ledger.named(undone.name, undone.source)
    again = [v for v in found if v.state == "pending" and v.version < undone.version]
    names = [f"version {v.version}, file {v.file_id}" for v in again[-3:]]
    more = f" and {len(again) - 3:,} more" if len(again) > 3 else ""
    return "; ".join(names) + more


def chosen(
    ledger: Ledger,
    files: list[str],
    source: str | None,
    since: datetime | None,
    states: tuple[str, ...],
) -> list[FileView]:
    """The files of these numbers or names, or all that fit. Raises Misuse for one that is not there.

    A name means its newest version, in each source that has it, and of a file that grows all growths;
    `name@2` its second version, `name@2-9` these versions.
    """
    if not files:
        return ledger.select(states, source, since)
    found: list[FileView] = []
    for given in files:
        numbered = ledger.file(int(given)) if given.isdecimal() else None
        named = [numbered] if numbered else _named(ledger, given, source)
        if not named:
            raise Misuse(f"no file {given!r}; see `sensorflow files ls`")
        found += named
    return found


def _named(ledger: Ledger, given: str, source: str | None) -> list[FileView]:
    if found := _newest(ledger.named(given, source)):
        return _whole(ledger, found)
    name, at, number = given.rpartition("@")
    first, _, last = number.partition("-")
    if not at or not first.isdecimal() or not (last or first).isdecimal():
        return []
    named = ledger.named(name, source)
    if not last:
        return [v for v in named if v.version == int(first)]
    wanted = range(int(first), int(last) + 1)
    return [v for v in named if v.version in wanted and v.state in ("loaded", "pending")]


def _newest(views: list[FileView]) -> list[FileView]:
    newest: dict[str, FileView] = {}
    for view in views:
        known = newest.get(view.source)
        if known is None or view.version > known.version:
            newest[view.source] = view
    return list(newest.values())


def _whole(ledger: Ledger, views: list[FileView]) -> list[FileView]:
    """Every growth of those that are one of a file that grows, in the file's order."""
    from sensorflow.flow.segments import segments

    found: list[FileView] = []
    chains = ledger.chains([view.file_id for view in views])
    for view in views:
        chain = chains.get(view.file_id)
        if chain is None:
            found.append(view)
            continue
        ids = (segment.file_id for segment in segments(ledger, chain.root, chain.size))
        found += filter(None, map(ledger.file, ids))
    return found


def _states(state: str | None, rejected: bool) -> tuple[str, ...]:
    known = ("quarantined", "loaded", "undone")
    if state is not None and state not in known:
        raise Misuse(f"--state {state}: one of {', '.join(known)}")
    if rejected and state not in (None, "loaded"):
        raise Misuse("--rejected is of loaded files; leave --state out")
    if rejected:
        return ("loaded",)
    return (state,) if state else known[:2]


def _time(text: str | None) -> datetime | None:
    return None if text is None else instant(text, "--since")


def instant(text: str, option: str) -> datetime:
    """A day or an instant, in UTC where no offset is given. Raises Misuse."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(f"{option} {text}: give a day or a time such as 2026-01-31T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
