"""sensorflow profiles"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.environment import folder as here
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.settings import Settings

app = typer.Typer(help="List, show, import and validate profiles.", no_args_is_help=True)


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the profiles of the project and of the library."""
    from sensorflow import bootstrap, profiles

    settings = bootstrap.settings(anywhere=True)
    used = {source.profile for source in settings.sources.values()}
    found = []
    places = {name: file_shown(file, settings) for name, file in settings.profile_files.items()}
    for name, profile in settings.profiles.items():
        if name not in profiles.builtin() or profile != profiles.load(name)[1]:
            found.append((name, profile.format, places.get(name, "project"), name in used, ""))
            used.discard(name)
    for name in profiles.builtin():
        about = profiles.text(name).splitlines()[0].lstrip("# ")
        kind = profiles.load(name)[1].format
        found.append((name, kind, "library", name in used, about))
    if json:
        keys = ("name", "format", "from", "used", "about")
        as_json([dict(zip(keys, row, strict=True)) for row in found])
        return
    table("", ("name", "format", "from", "used", "about"), found)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND",
            help="Print in another format instead of TOML: table-schema (Frictionless) or csvw.",
        ),
    ] = None,
) -> None:
    """Print a profile of the project or the library as TOML."""
    from sensorflow import bootstrap, profiles

    settings = bootstrap.settings(anywhere=True)
    if kind is not None:
        from sensorflow.cli import exchange

        found = settings.profiles.get(name) or profiles.load(name)[1]
        exchange.export(found, kind, f"{name}.csv")
        return
    if (file := settings.profile_files.get(name)) is not None:
        line(f"# {file_shown(file, settings)}\n{file.read_text('utf-8').rstrip()}")
    elif name in settings.profiles and (text := _inline(name)):
        line(text)
    elif name in profiles.builtin():
        line(profiles.text(name).rstrip())
    else:
        raise UsageError(profiles.unknown(name, settings.profiles))


def file_shown(file: Path, settings: Settings) -> str:
    """Returns the path of a file for messages: relative if the file is in the project's folder, else
    absolute."""
    return str(file.relative_to(settings.home) if file.is_relative_to(settings.home) else file)


def _inline(name: str) -> str:
    """Returns the TOML text of a profile in sensorflow.toml; "" if sensorflow.toml does not contain the
    profile."""
    import tomlkit

    from sensorflow.settings import find

    path = find(here())
    found = tomlkit.parse(path.read_text("utf-8")).get("profiles", {}) if path else {}
    if name not in found:
        return ""
    document = tomlkit.document()
    document["profiles"] = tomlkit.table(is_super_table=True)
    document["profiles"][name] = found[name]
    return f"# sensorflow.toml\n{tomlkit.dumps(document).strip()}"


@app.command("import", short_help="Convert a table description (Frictionless, CSVW) to a profile.")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.json")],
    of: Annotated[
        str | None,
        typer.Option(
            "--table", metavar="NAME", help="The table to import. Needed if the file has several."
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of times without an offset, such as Europe/Berlin, +01:00 or UTC."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the profile to this file.")
    ] = None,
) -> None:
    """Convert a Frictionless Table Schema or Data Package, or CSVW metadata, to a profile.

    TODO marks settings that the document does not define (sensor, zone) or that a profile cannot express.
    """
    from sensorflow.cli import exchange

    exchange.import_(file, of, zone, out)


@app.command("validate", short_help="Validate profiles of files or of the project.")
def validate(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]")] = None,
) -> None:
    """Validate the profiles in TOML files, or all profiles of the project. Exit code 2 if one is
    invalid."""
    from sensorflow import bootstrap, profiles

    if not files:
        count = len(bootstrap.settings().profiles)
        line(f"{count} {'profile is' if count == 1 else 'profiles are'} valid")
        return
    for file in files:
        name, profile = profiles.load(str(file))
        line(f"{file}: {name} is valid: {profile.format}")
