"""sensorflow check"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, facts, line, table
from sensorflow.errors import Misuse
from sensorflow.shown import json_of, shown

if TYPE_CHECKING:
    from sensorflow.core.drift import Drift
    from sensorflow.core.profile import Profile
    from sensorflow.flow.check import Checked
    from sensorflow.settings import Settings, Source


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...")],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", "-p", help="A name, or a TOML file. Default: the source's, or a guess."
        ),
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="For a guess: the zone of times without an offset.")
    ] = None,
    max_rejects: Annotated[
        str | None, typer.Option(help="How many rejects a file may have: 10%, or 5.")
    ] = None,
    rejects: Annotated[int, typer.Option(min=0, help="How many rejects of a file are shown.")] = 20,
    json: Json = False,
) -> None:
    """Read files dry: what would be loaded and what rejected, line by line. Touches nothing.

    Exit status: 0 when every file would be loaded, 1 when one would go to quarantine, 2 when the
    command cannot be carried out. With --json, one object a line for each file.
    """
    from sensorflow.settings import tolerance

    try:
        max_rejects = tolerance(max_rejects) if max_rejects is not None else None
    except ValueError as error:
        raise Misuse(f"--max-rejects {max_rejects}: {error}") from error
    bad, all_found = False, []
    for path in _files(paths):
        found, tolerated = _checked(path, profile, zone, max_rejects, 10_000 if json else rejects)
        bad |= not tolerated
        all_found.append(found)
        if json:
            sys.stdout.write(json_of(found.as_dict()) + "\n")
        else:
            _print(found, tolerated)
    if not json:
        from sensorflow.cli import checked

        for text in checked.next_steps(paths, profile, zone, all_found, bad):
            line(text)
    if bad:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inner = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            if not inner:
                raise Misuse(f"{path}: no files in it")
            yield from inner
        elif not path.exists():
            raise Misuse(f"{path}: no such file")
        elif not path.is_file():
            raise Misuse(f"{path}: not a regular file")
        else:
            yield path


def _checked(
    path: Path, named: str | None, zone: str | None, tolerance: str | None, keep: int
) -> tuple[Checked, bool]:
    from sensorflow.core.drift import Drift
    from sensorflow.core.layout import Place
    from sensorflow.flow.check import check as dry_run
    from sensorflow.settings import tolerates

    settings, source = source_of(path)
    chosen, drift = profile_for(path, named, zone, settings, source)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise Misuse(f"{path}: cannot be read: {error.strerror}") from error
    with stream:
        place = Place(path.name, _below(path, settings, source))
        found = dry_run(stream, str(path), chosen, place, drift or Drift(), keep)
    limit = tolerance or (source.max_rejects if source else "10%")
    return found, found.error is None and tolerates(limit, found.rejected, found.read)


def source_of(path: Path) -> tuple[Settings, Source | None]:
    """The settings that hold here, and the source in whose folder the file lies."""
    from sensorflow import bootstrap

    settings = bootstrap.settings(anywhere=True)
    for source in settings.sources.values():
        if path.resolve().is_relative_to(settings.path(source.path).resolve()):
            return settings, source
    return settings, None


def _below(path: Path, settings: Settings | None, source: Source | None) -> str:
    if settings is None or source is None:
        return str(path)
    return str(path.resolve().relative_to(settings.path(source.path).resolve()))


def profile_for(
    path: Path,
    named: str | None,
    zone: str | None,
    settings: Settings | None,
    source: Source | None,
) -> tuple[tuple[str, Profile], Drift | None]:
    """By what a file is read: what was named, its source's, or a guess. With the source's drift."""
    from sensorflow import profiles

    drift = source.drift if source else None
    if named is not None:
        if settings is not None and named in settings.profiles:
            found = settings.profile(named, source)
            assert found is not None
            return (named, found), drift
        return profiles.load(named), drift
    if settings is not None and source is not None:
        return (source.profile, settings.profile_of(source)), drift
    from sensorflow.cli.sniff import guess

    return ("a guess", guess(path, zone).profile()), drift


def _print(found: Checked, tolerated: bool) -> None:
    line(f"{found.file}  (profile: {found.profile})")
    if found.error is not None:
        line(f"  refused as a whole: {found.error}")
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
        line(f"  line {reject.line_no}{column}: {reject.code}: {shown(reject.reason)}")
        line(f"      {shown(reject.raw)[:200]}")
    if len(found.rejects) < found.rejected:
        line(f"  … and {found.rejected - len(found.rejects):,} more")
    verdict = "would be loaded" if tolerated else "would go to quarantine: too many rejects"
    line(f"  {verdict}")
    line()
