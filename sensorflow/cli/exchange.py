"""Converts profiles from and to standard formats of table descriptions, for `sensorflow profiles import`
and for the option --as of `sensorflow profiles show`."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli.show import line
from sensorflow.errors import UsageError
from sensorflow.escaping import escape

if TYPE_CHECKING:
    from sensorflow.core.exchange import Imported
    from sensorflow.core.profile import Profile


def export(profile: Profile, kind: str, name: str) -> None:
    """Print a profile to stdout as a document in a standard format. The settings of the profile that the
    format cannot express are listed on stderr. kind: "table-schema" or "csvw". name: file name for the
    document."""
    import typer

    from sensorflow.core.exchange.exported import exported

    found = exported(profile, kind, name)
    line(json.dumps(found.document, ensure_ascii=False, indent=2))
    for text in found.omitted:
        typer.echo(f"not expressible in {kind}: {escape(text)}", err=True)


def import_(path: Path, table: str | None, zone: str | None, out: Path | None) -> None:
    """Convert a table description to a profile, and print it. path: the JSON document. table: name of the
    table in the document. out: file to write the profile to, or None. Raises UsageError."""
    from sensorflow.cli.sniff import write
    from sensorflow.shell import command

    if out is not None and out.exists():
        raise UsageError(f"{out} already exists; choose another file")
    if zone is not None:
        _check(zone)
    found = imported(path, table)
    if zone is not None:
        found = replace(found, guess=found.guess.in_zone(zone, "the given zone"))
    text = found.toml()
    line(f"# A profile from {escape(path.name)}. Review it.")
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
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.code) from error
    if (
        found.guess.time
    ):  # a profile without a time is incomplete, which is reported when it is loaded
        settled = tomllib.loads(found.guess.in_zone("UTC", "").toml())
        if settled.get("columns"):
            profiles.validated(settled, f"{path}: the imported profile")
    return found


def _check(zone: str) -> None:
    from sensorflow.core.times.zones import check_zone

    try:
        check_zone(zone)
    except ValueError as error:
        raise UsageError(f"--zone {zone!r}: {error}") from error


def _document(path: Path) -> object:
    """Read and parse the JSON file. Raises UsageError."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8: {error}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() in (".yaml", ".yml"):
            raise UsageError("YAML is not supported: convert the document to JSON") from error
        what = "expected a Table Schema, a Data Package or CSVW metadata"
        hint = f"not JSON: {error}; {what}; for a data file, run `sensorflow sniff`"
        raise UsageError(hint) from error
