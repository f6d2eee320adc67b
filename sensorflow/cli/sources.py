"""sensorflow sources"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.controls import drain, pause, record, resume
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.core.controls import ACTIVE
from sensorflow.errors import SensorflowError, UsageError

if TYPE_CHECKING:
    from sensorflow.core.controls import Control
    from sensorflow.core.profile import Profile
    from sensorflow.settings import Settings, Source

AFTER = ("archive", "delete", "keep")
app = typer.Typer(
    help="List, add, pause and drain sources with their drop folders.", no_args_is_help=True
)

To = Annotated[
    Path | None, typer.Option("--path", metavar="DIR", help="Drop folder. Default: drop/NAME.")
]


@app.command("ls", short_help="List the sources with folder, profile and waiting files.")
def ls(json: Json = False) -> None:
    """List the sources: kind, state, pending and running files, weight, quota, folder and profile.

    The column "in folder" counts files that are not ingested yet.
    """
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    held, work = _fleet(settings)
    found = [_record(settings, name, held, work) for name in settings.sources]
    if json:
        as_json(found)
        return
    table("", HEADS, map(_row, found), ("quota", "oldest waits", "path"))
    if not found:
        line("no sources: `sensorflow sniff FILE --add NAME` adds one")
    for control in (held or {}).values():
        line(f"{control.source}: {control}")


HEADS = (
    *("name", "kind", "state", "waiting", "oldest waits", "weight", "quota"),
    *("in folder", "path", "profile", "after"),
)


def _fleet(
    settings: Settings,
) -> tuple[dict[str, Control] | None, dict[str, tuple[int, float]] | None]:
    """Returns two dicts from the ledger: source -> its control, and source -> (number of unfinished files,
    age of the oldest of them in seconds). Both are None if the ledger is unavailable."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import inspect

    with suppress(SensorflowError):
        held = bootstrap.ledger(settings, "cli").controls()
        rows = inspect.backlog(bootstrap.database_url(settings))
        return held, {row.source: (row.files, row.age) for row in rows}
    return None, None


def _record(
    settings: Settings,
    name: str,
    held: dict[str, Control] | None,
    work: dict[str, tuple[int, float]] | None,
) -> dict[str, Any]:
    """Returns a source as JSON data. held, work: the results of `_fleet`; the values that come from the
    ledger are None if these are None."""
    from sensorflow.cli.profiles import file_shown

    source = settings.sources[name]
    file = settings.profile_files.get(source.profile)
    profile = file_shown(file, settings) if file else source.profile
    keys = ("path", "profile", "after", "waiting", "folder_exists")
    place = dict(zip(keys, _place(settings, name, source, profile), strict=True))
    control = (held or {}).get(name)
    files, oldest = (work or {}).get(name, (0, None))
    return {
        "name": name,
        "kind": source.kind,
        "state": None if held is None else str(control.mode) if control else ACTIVE,
        "control": control and record(control),
        "unfinished": None if work is None else files,
        "oldest_seconds": oldest,
        "weight": source.weight,
        "max_in_flight": source.max_in_flight,
        **place,
    }


def _row(found: dict[str, Any]) -> list[Any]:
    from sensorflow.core.health import span

    oldest, unknown = found["oldest_seconds"], found["state"] is None
    return [
        found["name"],
        found["kind"],
        found["state"] or "unknown: the database is unavailable",
        "-" if unknown else found["unfinished"],
        "" if oldest is None else span(max(0.0, oldest)),
        f"{found['weight']:g}",
        found["max_in_flight"],
        _count(found["waiting"], found["folder_exists"]),
        *(found[key] or "-" for key in ("path", "profile", "after")),
    ]


def _place(
    settings: Settings, name: str, source: Source, profile: str
) -> tuple[str | None, str, str | None, int | None, bool | None]:
    """Returns (path of the folder, profile, after, number of waiting files, whether the folder exists). If
    the source is not a drop folder, all of these except the profile are None."""
    from sensorflow.cli import follow_ups
    from sensorflow.settings import FolderSource

    if not isinstance(source, FolderSource):
        return None, profile, None, None, None
    folder = settings.path(source.path)
    count = follow_ups.waiting(settings, name) if folder.is_dir() else None
    return str(follow_ups.relpath(folder)), profile, source.after, count, folder.is_dir()


def _count(waiting: int | None, is_reachable: bool | None) -> str:
    if is_reachable is None:
        return "-"
    if waiting is None:
        return "unknown: the database is unavailable" if is_reachable else "no such folder"
    return f"{waiting:,}"


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    profile: Annotated[
        str,
        typer.Option(
            "--profile", "-p", help="Profile that reads the files: a name or a TOML file."
        ),
    ],
    path: To = None,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of times without an offset, such as Europe/Berlin, +01:00 or UTC. "
            "Needed if the profile sets no time zone and its times have no offset."
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of the names of files to load, such as '*.log'. Repeatable."),
    ] = None,
    after: Annotated[
        str, typer.Option(help="What to do with a file after intake: archive, delete or keep.")
    ] = "archive",
) -> None:
    """Add a source to sensorflow.toml and create its folder."""
    from sensorflow import bootstrap
    from sensorflow.cli import follow_ups, project

    file = project.settings_file()
    settings = bootstrap.settings()
    project.require_free(file, name, zone is not None)
    named, found = _profile(profile, settings)
    keys: dict[str, object] = {"include": include} if include else {}
    keys |= {"after": checked_after(after)} if after != "archive" else {}
    new_source = project.AddedSource(
        name,
        folder_of(path, name, settings),
        named if zone is None else name,
        keys,
        None if zone is None else _zoned(named, zone),
    )
    needed = needs_zone(found) if zone is None else False
    if needed:
        raise UsageError(
            f"the profile {named!r} has no zone, and its times have no UTC "
            "offset: add --zone, for example --zone Europe/Berlin, --zone +01:00 or --zone UTC"
        )
    added(file, new_source)
    if needed is None:
        line(f"the profile {named!r} has no zone: times without a UTC offset are rejected (F107).")
        line(
            f"  To find out whether there are any: `sensorflow check FILE -p {named}`; then set time.zone"
        )
    for text in follow_ups.after_adding(bootstrap.settings(), name, []):
        line(text)


def folder_of(path: Path | None, name: str, settings: Settings) -> Path:
    return path.absolute() if path is not None else settings.home / "drop" / name


def checked_after(after: str) -> str:
    if after not in AFTER:
        raise UsageError(f"--after {after}: expected one of {', '.join(AFTER)}")
    return after


def added(file: Path, new: object) -> None:
    """Add the source to sensorflow.toml, and print which tables were added."""
    from sensorflow.cli import follow_ups, project

    assert isinstance(new, project.AddedSource)
    project.add(file, new)
    what = f"[sources.{new.name}]" + (f" and [profiles.{new.name}]" if new.table else "")
    line(
        f"added {what} to {follow_ups.relpath(file)}; its drop folder is {follow_ups.relpath(new.folder)}/"
    )


def _profile(named: str, settings: Settings) -> tuple[str, Profile]:
    """Returns a profile, and the name or path under which sensorflow.toml can refer to it. named: the name
    of a profile of the project or the library, or the path of a file."""
    from sensorflow import profiles
    from sensorflow.cli import project
    from sensorflow.profiles.files import is_path

    known = settings.profile(named)
    if known is not None and named not in settings.profile_files:
        return named, known
    if known is not None:
        file = settings.profile_files[named]
        return _as_path(project.relative(file, settings.home)), known
    if not is_path(named) and not Path(named).is_file():
        raise UsageError(
            f"--profile: {profiles.unknown(named, settings.profiles)}; or give a TOML file"
        )
    _, found = profiles.load(named)
    return _as_path(project.relative(Path(named), settings.home)), found


def _as_path(named: str) -> str:
    from sensorflow.profiles.files import is_path

    return named if is_path(named) else f"./{named}"


def _zoned(extended: str, zone: str) -> str:
    """Returns the TOML of a profile that extends another profile and sets its zone. Raises UsageError."""
    from sensorflow.core.sniff.guess import Guess, Line, zoned
    from sensorflow.core.times.zones import check_zone

    try:
        check_zone(zone)
    except ValueError as error:
        raise UsageError(f"--zone {zone!r}: {error}") from error
    return Guess((Line("extends", extended),), zoned(zone, "")).toml()


def needs_zone(profile: Profile) -> bool | None:
    """Returns whether times have no offset and the profile sets no zone. None if this depends on the file,
    because the format of the times allows an offset but does not require it."""
    from sensorflow.core.times.timeformats import EPOCH_UNITS

    if profile.time is None or profile.time.zone is not None or not profile.time.parts:
        return False
    formats = profile.time.format
    if all(f in EPOCH_UNITS or "%z" in f or "%Z" in f for f in formats):
        return False
    offset = any(f in EPOCH_UNITS or f == "iso8601" or "%z" in f or "%Z" in f for f in formats)
    return None if offset else True


app.command("pause", short_help="Stop intake and processing of sources.")(pause)
app.command("resume", short_help="Make paused and draining sources active.")(resume)
app.command("drain", short_help="Stop intake, and finish the registered files.")(drain)
