"""sensorflow sources"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.core.profile import Profile
    from sensorflow.settings import Settings, Source

AFTER = ("archive", "delete", "keep")
app = typer.Typer(help="Drop folders: list them, add one.", no_args_is_help=True)

To = Annotated[
    Path | None, typer.Option("--path", metavar="DIR", help="Its folder. Default: drop/NAME.")
]


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the sources: folder, profile, and how many files wait in the folder to be taken in."""
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
    """(path, profile, after, files that wait, whether the folder is there): None where it has no folder."""
    from sensorflow.cli import steps
    from sensorflow.settings import FolderSource

    if not isinstance(source, FolderSource):
        return None, profile, None, None, None
    folder = settings.path(source.path)
    count = steps.waiting(settings, name) if folder.is_dir() else None
    return str(steps.near(folder)), profile, source.after, count, folder.is_dir()


def _count(waiting: int | None, there: bool | None) -> str:
    if there is None:
        return "-"
    if waiting is None:
        return "unknown: the database cannot be asked" if there else "no such folder"
    return f"{waiting:,}"


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    profile: Annotated[
        str,
        typer.Option("--profile", "-p", help="How its files are read: a name, or a TOML file."),
    ],
    path: To = None,
    zone: Annotated[
        str | None,
        typer.Option(help="The zone of times without an offset: Europe/Berlin, +01:00, UTC."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(help="Names that are taken, as '*.log'; several times for several."),
    ] = None,
    after: Annotated[
        str, typer.Option(help="What becomes of a file that was taken in: archive, delete, keep.")
    ] = "archive",
) -> None:
    """Write a source into sensorflow.toml, with its profile, and make its folder."""
    from sensorflow import bootstrap
    from sensorflow.cli import project, steps

    file = project.settings_file()
    settings = bootstrap.settings()
    project.require_free(file, name, zone is not None)
    named, found = _profile(profile, settings)
    keys: dict[str, object] = {"include": include} if include else {}
    keys |= {"after": checked_after(after)} if after != "archive" else {}
    made = project.Added(
        name,
        folder_of(path, name, settings),
        named if zone is None else name,
        keys,
        None if zone is None else _zoned(named, zone),
    )
    needed = needs_zone(found) if zone is None else False
    if needed:
        raise Misuse(
            f"the profile {named!r} does not say which clock its times follow, and they carry no "
            "offset: add --zone, as in --zone Europe/Berlin, --zone +01:00 or --zone UTC"
        )
    added(file, made)
    if needed is None:
        line(f"the profile {named!r} has no zone: a time without an offset is rejected (F107);")
        line(f"  if there are such times, set time.zone; `sensorflow check FILE -p {named}` tells")
    for text in steps.after_adding(bootstrap.settings(), name, []):
        line(text)


def folder_of(path: Path | None, name: str, settings: Settings) -> Path:
    return path.absolute() if path is not None else settings.home / "drop" / name


def checked_after(after: str) -> str:
    if after not in AFTER:
        raise Misuse(f"--after {after}: give one of {', '.join(AFTER)}")
    return after


def added(file: Path, made: object) -> None:
    """Write it, and say what was written where."""
    from sensorflow.cli import project, steps

    assert isinstance(made, project.Added)
    project.add(file, made)
    what = f"[sources.{made.name}]" + (f" and [profiles.{made.name}]" if made.table else "")
    line(f"added {what} to {steps.near(file)}; files go into {steps.near(made.folder)}/")


def _profile(named: str, settings: Settings) -> tuple[str, Profile]:
    """A profile as sensorflow.toml names it: of the library, of the project, or a file seen from here."""
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
        raise Misuse(
            f"--profile: {profiles.unknown(named, settings.profiles)}; or name a TOML file"
        )
    _, found = profiles.load(named)
    return _as_path(project.relative(Path(named), settings.home)), found


def _as_path(named: str) -> str:
    from sensorflow.profiles.files import is_path

    return named if is_path(named) else f"./{named}"


def _zoned(extended: str, zone: str) -> str:
    """The TOML of a profile that is another one in a zone."""
    from sensorflow.core.sniff.guess import Guess, Line, zoned
    from sensorflow.core.times.zones import check_zone

    try:
        check_zone(zone)
    except ValueError as error:
        raise Misuse(f"--zone {zone!r}: {error}") from error
    return Guess((Line("extends", extended),), zoned(zone, "")).toml()


def needs_zone(profile: Profile) -> bool | None:
    """Whether its times are read in a zone that it does not have; None where that is up to the file."""
    from sensorflow.core.times.timeformats import EPOCH_UNITS

    if profile.time is None or profile.time.zone is not None or not profile.time.parts:
        return False
    formats = profile.time.format
    if all(f in EPOCH_UNITS or "%z" in f or "%Z" in f for f in formats):
        return False
    offset = any(f in EPOCH_UNITS or f == "iso8601" or "%z" in f or "%Z" in f for f in formats)
    return None if offset else True
