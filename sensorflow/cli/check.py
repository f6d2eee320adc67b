"""sensorflow check"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, facts, line, table
from sensorflow.errors import UsageError
from sensorflow.escaping import escape, to_json
from sensorflow.flow.check_options import check_options

if TYPE_CHECKING:
    from sensorflow.flow.check import Checked
    from sensorflow.settings import Settings, Source


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...")],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            "-p",
            help="Profile to use: a name or a TOML file. "
            "Default: the profile of the source, or else a proposed profile.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Use the settings of this source. "
            "Default: the source that the file's folder or the profile belongs to."
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of times without an offset. Used only for a proposed profile, not if "
            "--profile or a source states the profile."
        ),
    ] = None,
    max_rejects: Annotated[
        str | None,
        typer.Option(
            help="Maximum rejected readings per file, such as 10% or 5. "
            "Default: max_rejects of the source, or else 10%."
        ),
    ] = None,
    rejects: Annotated[
        int,
        typer.Option(
            min=0, help="Maximum number of rejects to show per file. Ignored with --json."
        ),
    ] = 20,
    json: Json = False,
) -> None:
    """Dry run: show which readings of files would be loaded and which rejected. Changes nothing.

    Exit codes: 0 if every file would be loaded, 1 if a file would go to quarantine, 2 if the command could
    not run. With --json, each line of the output is a JSON object for one file.
    """
    from sensorflow import bootstrap
    from sensorflow.flow.dry_run import dry_run
    from sensorflow.settings import tolerance

    try:
        max_rejects = tolerance(max_rejects) if max_rejects is not None else None
    except ValueError as error:
        raise UsageError(f"--max-rejects {max_rejects}: {error}") from error
    bad, all_found = False, []
    for path, below in _files(paths):
        options = check_options(bootstrap.settings(anywhere=True), path, profile, source, below)
        keep = 10_000 if json else rejects
        for found in dry_run(path, options, profile, zone, max_rejects, keep):
            gate_message = _gate(path, found)
            bad |= not found.would_load
            all_found.append(found)
            if json:
                sys.stdout.write(to_json(found.as_dict()) + "\n")
            else:
                _print(found)
                if gate_message:
                    line(f"  gate: {gate_message}")
                    line()
    if not json:
        from sensorflow.cli import checked

        if source is not None and not options.inside:
            profile = profile or options.settings.sources[source].profile
        for text in checked.next_steps(paths, profile, zone, all_found, bad):
            line(text)
    if bad:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> Iterator[tuple[Path, Path | None]]:
    """Yields (file, folder) for each file to check. folder: the folder argument in which the file was
    found; it takes the place of the drop folder. None if the file itself is the argument. Raises
    UsageError."""
    for path in paths:
        if path.is_dir():
            inner = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            inner = [p for p in inner if not _is_gate(p)]
            if not inner:
                raise UsageError(f"{path}: the folder has no files")
            yield from ((file, path) for file in inner)
        elif not path.exists():
            raise UsageError(f"{path}: no such file")
        elif not path.is_file():
            raise UsageError(f"{path}: not a regular file")
        else:
            yield path, None


def _is_gate(path: Path) -> bool:
    """Returns whether a file is a gate or a manifest of its source, and not a data file."""
    from sensorflow import bootstrap

    gated_path = bootstrap.gated_path(path, bootstrap.settings(anywhere=True))
    return gated_path is not None and gated_path.is_gate()


def _gate(path: Path, found: Checked) -> str | None:
    from sensorflow import bootstrap
    from sensorflow.flow.dry_run import by_gate

    gated_path = bootstrap.gated_path(path, bootstrap.settings(anywhere=True))
    return by_gate(gated_path, found) if gated_path is not None else None


def source_of(path: Path) -> tuple[Settings, Source | None]:
    """Returns the settings that apply to a file, and the source whose folder contains the file; None if
    there is no such source."""
    from sensorflow import bootstrap

    found = check_options(bootstrap.settings(anywhere=True), path, None, None)
    return found.settings, found.source


def _print(found: Checked) -> None:
    by = f", source: {found.source}" if found.source else ""
    line(f"{found.file}  (profile: {found.profile}{by})")
    if found.error is not None:
        line(f"  the file cannot be loaded: {found.error}")
        if found.error.remedy:
            line(f"  to do: {found.error.remedy}")
        line()
        return
    account = f"{found.rows:,} rows: {found.valid:,} readings, {found.missing:,} missing cells, "
    line(f"  {account}{found.rejected:,} rejected")
    notes = {
        "  duplicates": found.duplicates,
        "  same sensor, time and type": found.valid - found.duplicates - found.distinct,
        "  out of order": found.out_of_order,
    }
    facts({k: v for k, v in notes.items() if v})
    if found.span.low:
        line(
            f"  from {found.span.low:%Y-%m-%d %H:%M:%S} to {found.span.high:%Y-%m-%d %H:%M:%S} UTC"
        )
    for flag, count in found.flagged.items():
        line(f"  flagged {flag}: {count:,}")
    for text in found.notes:
        line(f"  {text}")
    for text in found.drift:
        line(f"  drift: {text}")
    if found.types:
        rows = [(f"  {k}", n, found.measured_in(k)) for k, n in list(found.types.items())[:40]]
        table("", ("  type", "readings", "unit"), rows)
        names = ", ".join(list(found.sensors)[:5])
        line(f"  {len(found.sensors):,} sensor{'s' if len(found.sensors) != 1 else ''}: {names}")
    for name, example in (("first", found.first), ("last ", found.last)):
        if example is not None:
            sensor, ts, kind, value, unit = example
            line(f"  {name}: {ts.isoformat()}  {sensor}  {kind} = {value!r} {unit}".rstrip())
    for reject in found.rejects:
        column = f", column {reject.column}" if reject.column else ""
        line(f"  line {reject.line_no}{column}: {reject.code}: {escape(reject.reason)}")
        line(f"      {escape(reject.raw)[:200]}")
    if len(found.rejects) < found.rejected:
        line(f"  … and {found.rejected - len(found.rejects):,} more")
    line(f"  {_verdict(found)}")
    line()


def _verdict(found: Checked) -> str:
    if found.refused is None:
        empty = ": the file has no rows, and allow_empty = true accepts that"
        return f"would be loaded{'' if found.rows else empty}"
    passed = found.refused.startswith("sources.")
    return f"would {'not be ingested' if passed else 'go to quarantine'}: {found.refused}"
