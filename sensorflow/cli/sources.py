"""sensorflow sources"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.core.profile import Profile
    from sensorflow.settings import Settings, Source

AFTER = ("archive", "delete", "keep")
app = typer.Typer(help="List and add sources with their drop folders.", no_args_is_help=True)

To = Annotated[
    Path | None, typer.Option("--path", metavar="DIR", help="Drop folder. Default: drop/NAME.")
]


@app.command("ls", short_help="List the sources with folder, profile and waiting files.")
def ls(json: Json = False) -> None:
    """List the sources with their folders, profiles and numbers of waiting files."""
    from sensorflow import bootstrap
    from sensorflow.cli.profiles import file_shown

    settings = bootstrap.settings()
    found = []
    for name, source in settings.sources.items():
        file = settings.profile_files.get(source.profile)
        profile = file_shown(file, settings) if file else source.profile
        found.append((name, *_place(settings, name, source, profile)))
    if json:
        keys = ("name", "path", "profile", "after", "waiting", "folder_exists")
        as_json([dict(zip(keys, row, strict=True)) for row in found])
        return
    rows = [(*(cell or "-" for cell in row[:4]), _count(row[4], row[5])) for row in found]
    table("", ("name", "path", "profile", "after", "files waiting"), rows)
    if not found:
        line("no sources: `sensorflow sniff FILE --add NAME` adds one")


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
            help="Time zone of times without an offset, such as Europe/Berlin, +01:00 or UTC."
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
