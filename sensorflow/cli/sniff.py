"""sensorflow sniff"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, line
from sensorflow.cli.steps import typed
from sensorflow.errors import Misuse
from sensorflow.shell import command
from sensorflow.shown import shown

if TYPE_CHECKING:
    from sensorflow.flow.check import Checked
    from sensorflow.flow.sniff import Proposal

TYPES = 12


def sniff(
    path: Annotated[Path, typer.Argument(metavar="FILE|FOLDER")],
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
    json: Json = False,
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
    Of a folder: the kinds of files in it, by some of each pattern of names, and a profile for each.
    """
    if add is None and (given := _only(folder, after, accept)) is not None:
        raise Misuse(f"{given} goes with --add NAME")
    if json and (add is not None or out is not None):
        raise Misuse("--json goes with neither --add nor --out")
    from sensorflow.flow.sniff import guess

    if out is not None and out.exists():
        raise Misuse(f"{out}: is there already; name another file")
    if kind is not None and (json or path.is_dir() or add is not None or out is not None):
        raise Misuse("--as goes with one file, and with none of --add, --out and --json")
    names = [path.name]
    if path.is_dir():
        from sensorflow.cli.sniff_folder import only_kind, sniff_folder

        if add is None and out is not None:
            raise Misuse("--out goes with one file, not with a folder")
        if add is None:
            sniff_folder(path, zone, json)
            return
        only = only_kind(path, zone)
        path, names = only.file, only.names
    if kind is not None:
        from sensorflow.cli import exchange

        exchange.export(guess(path, zone).profile(), kind, path.name)
        return
    if add is not None:
        from sensorflow.cli import adopt

        wanted = adopt.Wanted(folder, after, accept, out, tuple(names))
        adopt.adopt(path, add, zone, wanted)
        return
    if json:
        as_json(described(path, guess(path, zone)))
        return
    _propose(path, zone, out)


def _propose(path: Path, zone: str | None, out: Path | None) -> None:
    from sensorflow.flow.sniff import guess

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


def described(path: Path, found: Proposal) -> dict[str, Any]:
    """A proposal for programs, with what it makes of the file."""
    from sensorflow.flow.sniff import checked

    return {
        "file": str(path),
        "toml": found.toml(),
        "profile": tomllib.loads(found.toml()),
        "needs_zone": found.guess.needs_zone,
        "todo": list(found.guess.todo),
        "preview": checked(path, found).as_dict(),
    }


def _only(folder: Path | None, after: str | None, accept: bool) -> str | None:
    """The first option that goes with --add alone."""
    given = {"--path": folder, "--after": after, "--accept": accept}
    return next((option for option, value in given.items() if value), None)


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


def preview(path: Path, found: Proposal) -> Checked:
    """What a proposal makes of the file, printed: whether a zone was assumed, too."""
    from sensorflow.flow.sniff import checked

    made = checked(path, found)
    if found.guess.needs_zone:
        line("# Preview, as if its clock were UTC (give --zone):")
    else:
        line("# Preview:")
    _print(made)
    return made


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
        line(f"#   {count:>10,}  {shown(name)} {shown(checked.measured_in(name))}".rstrip())
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
