"""sensorflow profiles"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import Misuse

app = typer.Typer(
    help="How files are read: the library, and the project's own.", no_args_is_help=True
)


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the profiles of the project and of the library."""
    from sensorflow import bootstrap, profiles

    settings = bootstrap.settings(anywhere=True)
    used = {source.profile for source in settings.sources.values()}
    found = []
    for name, profile in settings.profiles.items():
        if name not in profiles.builtin() or profile != profiles.load(name)[1]:
            found.append((name, profile.format, "project", name in used, ""))
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
def show(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Print a profile of the library as TOML, to be used or extended."""
    from sensorflow import profiles

    if name not in profiles.builtin():
        raise Misuse(f"{profiles.unknown(name, {})}; those of the project stand in sensorflow.toml")
    line(profiles.text(name).rstrip())


@app.command("validate")
def validate(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]")] = None,
) -> None:
    """Check profiles: those of TOML files, or all of the project. Exit status 2 for a mistake."""
    from sensorflow import bootstrap, profiles

    if not files:
        count = len(bootstrap.settings().profiles)
        line(f"{count} {'profile is' if count == 1 else 'profiles are'} right")
        return
    for file in files:
        name, profile = profiles.load(str(file))
        line(f"{file}: {name} is right: {profile.format}")
