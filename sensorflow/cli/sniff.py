"""sensorflow sniff"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import line
from sensorflow.cli.steps import command, typed
from sensorflow.errors import Misuse
from sensorflow.shown import shown

if TYPE_CHECKING:
    from sensorflow.core.profile import Profile
    from sensorflow.core.sniff import Guess
    from sensorflow.flow.check import Checked

REJECTS = 5
TYPES = 12


def sniff(
    path: Annotated[Path, typer.Argument(metavar="FILE")],
    zone: Annotated[
        str | None,
        typer.Option(help="Of times without an offset: Europe/Berlin, +01:00, UTC. Never guessed."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write the profile there.")
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Write profile and source into sensorflow.toml under this name."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--path", metavar="DIR", help="With --add: the folder. Default: drop/NAME."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(help="With --add: what becomes of files taken in: archive, delete, keep."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="With --add: also what the proposal is unsure of.")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="KIND", help="Print it as table-schema (Frictionless) or csvw."
        ),
    ] = None,
) -> None:
    """Propose a profile for a file, with the reason for each line, and read the file dry with it.

    All that is printed is TOML: the preview stands in comments. What a person must say is marked TODO.
    With --add the profile goes into sensorflow.toml, as soon as nothing in it is left to be said.
    """
    if out is not None and out.exists():
        raise Misuse(f"{out}: is there already; name another file")
    if kind is not None:
        from sensorflow.cli import exchange

        if add is not None or out is not None:
            raise Misuse("--as goes with neither --add nor --out")
        exchange.export(guess(path, zone).profile(), kind, path.name)
        return
    if add is not None:
        from sensorflow.cli import adopt

        adopt.adopt(path, add, zone, adopt.Wanted(folder, after, accept, out))
        return
    if (given := next((o for o, v in _only(folder, after, accept) if v), None)) is not None:
        raise Misuse(f"{given} goes with --add NAME")
    found = guess(path, zone)
    text = found.toml()
    line(f"# A profile for {shown(path.name)}, as sniffed: see whether it is right.")
    line(text)
    preview(path, found)
    if out is not None:
        write(out, text)
        check = command("sensorflow", "check", typed(path), "--profile", out)
        line(f"# written to {out}; next: {check}")
    else:
        line(f"# next: {_next(path, zone, found)}")


def _only(folder: Path | None, after: str | None, accept: bool) -> list[tuple[str, object]]:
    return [("--path", folder), ("--after", after), ("--accept", accept)]


def _next(path: Path, zone: str | None, found: Proposal) -> str:
    from sensorflow.profiles.files import plain_name

    named = plain_name(path.name.partition(".")[0]) or "NAME"
    where = ["--zone", zone or "ZONE"] if zone or found.guess.needs_zone else []
    return command("sensorflow", "sniff", typed(path), "--add", named, *where)


def write(out: Path, text: str) -> None:
    """Raises Misuse."""
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise Misuse(f"{out}: cannot be written: {error.strerror}") from error


@dataclass(frozen=True)
class Proposal:
    """A guess that can be read by: through its TOML, as a person would."""

    guess: Guess

    def toml(self) -> str:
        return self.guess.toml()

    def profile(self) -> Profile:
        from sensorflow import profiles

        table = tomllib.loads(self.toml())
        return profiles.validated(profiles.resolved("sniffed", {"sniffed": table}), "sniffed")


def guess(path: Path, zone: str | None = None) -> Proposal:
    """Raises Misuse, naming the file, where nothing can be proposed."""
    from sensorflow.core.sniff import sniff as propose

    if not path.is_file():
        raise Misuse(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as stream:
            return Proposal(propose(stream, zone))
    except OSError as error:
        raise Misuse(f"{path}: cannot be read: {error.strerror or error}") from error
    except Misuse as error:
        raise Misuse(f"{path}: {error.message}", error.code) from error


def preview(path: Path, found: Proposal) -> Checked:
    """What the profile makes of the file. Without a zone the clock is taken for UTC, and said so."""
    from sensorflow.core.drift import Drift
    from sensorflow.core.layout import Place
    from sensorflow.flow.check import check

    assumed = Proposal(found.guess.in_zone("UTC", ""))
    profile = assumed.profile()
    with path.open("rb") as stream:
        place = Place(path.name, path.name)
        checked = check(stream, str(path), ("sniffed", profile), place, Drift(), REJECTS)
    if found.guess.needs_zone:
        line("# Preview, as if its clock were UTC (give --zone):")
    else:
        line("# Preview:")
    _print(checked)
    return checked


def _print(checked: Checked) -> None:
    if checked.error is not None:
        line(f"#   refused as a whole: {shown(str(checked.error))}")
        return
    line(
        f"#   {checked.rows:,} rows: {checked.valid:,} readings, {checked.missing:,} missing cells, "
        f"{checked.rejected:,} rejected"
    )
    if checked.valid > checked.distinct:
        line(
            f"#   {checked.valid - checked.distinct:,} with the same sensor, type, unit and time as another"
        )
    if checked.out_of_order:
        line(f"#   {checked.out_of_order:,} out of order")
    for name, count in list(checked.types.items())[:TYPES]:
        line(f"#   {count:>10,}  {shown(name)} {shown(checked.units.get(name, ''))}".rstrip())
    if len(checked.types) > TYPES:
        line(f"#               … and {len(checked.types) - TYPES} more types")
    names = ", ".join(map(shown, list(checked.sensors)[:4]))
    line(f"#   {len(checked.sensors):,} sensor{'s' if len(checked.sensors) != 1 else ''}: {names}")
    for name, example in (("first", checked.first), ("last ", checked.last)):
        if example is not None:
            sensor, ts, kind, value, unit = example
            text = f"{ts.isoformat()}  {sensor}  {kind} = {value!r} {unit}"
            line(f"#   {name}: {shown(text).rstrip()}")
    for reject in checked.rejects:
        line(f"#   line {reject.line_no}: {shown(f'{reject.code}: {reject.reason}')[:150]}")
    if len(checked.rejects) < checked.rejected:
        line(f"#   … and {checked.rejected - len(checked.rejects):,} more rejects")
