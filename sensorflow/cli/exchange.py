"""sensorflow profiles import, --as: the descriptions of tables that others have."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli.show import line
from sensorflow.errors import Misuse
from sensorflow.shown import shown

if TYPE_CHECKING:
    from sensorflow.core.exchange import Imported
    from sensorflow.core.profile import Profile


def export(profile: Profile, kind: str, name: str) -> None:
    """The document on stdout; what it cannot say on stderr."""
    import typer

    from sensorflow.core.exchange.exported import exported

    found = exported(profile, kind, name)
    line(json.dumps(found.document, ensure_ascii=False, indent=2))
    for text in found.unsaid:
        typer.echo(f"not in the {kind}: {shown(text)}", err=True)


def import_(path: Path, table: str | None, zone: str | None, out: Path | None) -> None:
    """Raises Misuse, naming the file."""
    from sensorflow.cli.sniff import write
    from sensorflow.shell import command

    if out is not None and out.exists():
        raise Misuse(f"{out}: is there already; name another file")
    if zone is not None:
        _check(zone)
    found = imported(path, table)
    if zone is not None:
        found = replace(found, guess=found.guess.in_zone(zone, "as told"))
    text = found.toml()
    line(f"# A profile by {shown(path.name)}: see whether it is right.")
    line(text)
    if out is None:
        line(f"# next: {command('sensorflow', 'profiles', 'import', path, '--out', 'FILE.toml')}")
        return
    write(out, text)
    check = command("sensorflow", "check", "FILE", "--profile", out)
    line(f"# written to {out}; next: {check}")


def imported(path: Path, table: str | None) -> Imported:
    from sensorflow import profiles
    from sensorflow.core.exchange import imported as made_of

    try:
        found = made_of(_document(path), table)
    except Misuse as error:
        raise Misuse(f"{path}: {error.message}", error.code) from error
    if found.guess.time:  # without a time it is none yet, and says so
        settled = tomllib.loads(found.guess.in_zone("UTC", "").toml())
        if settled.get("columns"):
            profiles.validated(settled, f"{path}: the profile of it")
    return found


def _check(zone: str) -> None:
    from sensorflow.core.times.zones import check_zone

    try:
        check_zone(zone)
    except ValueError as error:
        raise Misuse(f"--zone {zone!r}: {error}") from error


def _document(path: Path) -> object:
    """Raises Misuse."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise Misuse(f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise Misuse(f"not UTF-8: {error}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() in (".yaml", ".yml"):
            raise Misuse("YAML is not read: write the document as JSON") from error
        what = "a Table Schema, a Data Package or CSVW metadata is expected"
        hint = (
            f"not JSON: {error}; {what}. Of a file with data, `sensorflow sniff` proposes a profile"
        )
        raise Misuse(hint) from error
