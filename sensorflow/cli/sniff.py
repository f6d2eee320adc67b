"""sensorflow sniff"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.follow_ups import typed
from sensorflow.cli.show import as_json, line
from sensorflow.errors import UsageError
from sensorflow.escaping import escape
from sensorflow.shell import command

if TYPE_CHECKING:
    from sensorflow.flow.check import Checked
    from sensorflow.flow.sniff import Proposal

TYPES = 12


def sniff(
    path: Annotated[Path, typer.Argument(metavar="FILE|FOLDER")],
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of times without an offset, such as Europe/Berlin, +01:00 or UTC. "
            "Needed if a file has such times: the time zone is never guessed."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Write the profile to this file. For a folder, only with --add.",
        ),
    ] = None,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Add profile and source to sensorflow.toml under this name."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--path",
            metavar="DIR",
            help="Only with --add: the drop folder of the source. Default: drop/NAME.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="Only with --add: what to do with files after intake: archive (default), delete or keep."
        ),
    ] = None,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Only with --add: add the profile despite open questions."),
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON instead of TOML. Not with --add, --out or --as."),
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND",
            help="Print the profile in another format: table-schema (Frictionless) or csvw. "
            "Only for a single file, without --add, --out and --json.",
        ),
    ] = None,
) -> None:
    """Propose a profile for a file, explain each setting, and preview the readings.

    The output is TOML, with the preview in comments. TODO marks open questions: settings that you must
    decide. With --add, the profile is added to sensorflow.toml if it has no open questions. For a folder,
    the command samples the files, groups them by kind, and proposes a profile for each kind.
    """
    if add is None and (given := _only(folder, after, accept)) is not None:
        raise UsageError(f"{given} requires --add NAME")
    if json and (add is not None or out is not None):
        raise UsageError("--json cannot be combined with --add or --out")
    from sensorflow.flow.sniff import guess

    if out is not None and out.exists():
        raise UsageError(f"{out} already exists; choose another file")
    if kind is not None and (json or path.is_dir() or add is not None or out is not None):
        raise UsageError(
            "--as can print only the profile of a single file, not of a folder, and cannot be combined "
            "with --add, --out or --json"
        )
    names = [path.name]
    if path.is_dir():
        from sensorflow.cli.sniff_folder import only_kind, sniff_folder

        if add is None and out is not None:
            raise UsageError(
                f"--out can write only one profile, but {path} is a folder: give a single file, or use "
                "--add NAME"
            )
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

        wanted = adopt.AdoptOptions(folder, after, accept, out, tuple(names))
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
    line(f"# A profile proposed for {escape(path.name)}. Review it.")
    line(text)
    preview(path, found)
    if out is not None:
        write(out, text)
        check = command("sensorflow", "check", typed(path), "--profile", out)
        line(f"# written to {out}; next: {check}")
    else:
        line(f"# next: {_next(path, zone, found)}")


def described(path: Path, found: Proposal) -> dict[str, Any]:
    """Returns a proposal and the preview of the file as JSON data."""
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
    """Returns the name of the first option that was given and requires --add; None if there is none."""
    given = {"--path": folder, "--after": after, "--accept": accept}
    return next((option for option, value in given.items() if value), None)


def _next(path: Path, zone: str | None, found: Proposal) -> str:
    from sensorflow.profiles.files import plain_name

    named = plain_name(path.name.partition(".")[0]) or "NAME"
    where = ["--zone", zone or "ZONE"] if zone or found.guess.needs_zone else []
    return command("sensorflow", "sniff", typed(path), "--add", named, *where)


def write(out: Path, text: str) -> None:
    """Write the text of a profile to a file. Raises UsageError if the file cannot be written."""
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error


def preview(path: Path, found: Proposal) -> Checked:
    """Check the file with the proposal, and print a preview of the result. If the zone is unknown, the
    preview assumes UTC and says so. Returns the result of the check."""
    from sensorflow.flow.sniff import checked

    result = checked(path, found)
    if found.guess.needs_zone:
        line("# Preview, assuming UTC (give --zone):")
    else:
        line("# Preview:")
    _print(result)
    return result


def _print(checked: Checked) -> None:
    if checked.error is not None:
        line(f"#   the file cannot be loaded: {escape(str(checked.error))}")
        return
    line(
        f"#   {checked.rows:,} rows: {checked.valid:,} readings, {checked.missing:,} missing cells, "
        f"{checked.rejected:,} rejected"
    )
    if checked.valid > checked.distinct:
        line(
            f"#   {checked.valid - checked.distinct:,} with the sensor, type, unit and time of another one"
        )
    if checked.out_of_order:
        line(f"#   {checked.out_of_order:,} out of order")
    for name, count in list(checked.types.items())[:TYPES]:
        line(f"#   {count:>10,}  {escape(name)} {escape(checked.measured_in(name))}".rstrip())
    if len(checked.types) > TYPES:
        line(f"#               … and {len(checked.types) - TYPES} more types")
    names = ", ".join(map(escape, list(checked.sensors)[:4]))
    line(f"#   {len(checked.sensors):,} sensor{'s' if len(checked.sensors) != 1 else ''}: {names}")
    for name, example in (("first", checked.first), ("last ", checked.last)):
        if example is not None:
            sensor, ts, kind, value, unit = example
            text = f"{ts.isoformat()}  {sensor}  {kind} = {value!r} {unit}"
            line(f"#   {name}: {escape(text).rstrip()}")
    for reject in checked.rejects:
        line(f"#   line {reject.line_no}: {escape(f'{reject.code}: {reject.reason}')[:150]}")
    if len(checked.rejects) < checked.rejected:
        line(f"#   … and {checked.rejected - len(checked.rejects):,} more rejects")
