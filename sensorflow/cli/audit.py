"""sensorflow audit"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.flow.audit import Report, Subset


def audit(
    fast: Annotated[bool, typer.Option("--fast", help="Files and their bytes; no rows.")] = False,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Also every reading, recomputed as stored.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also landed originals: hashed, and read again.")
    ] = False,
    subset: Annotated[
        str, typer.Option(metavar="N/T", help="With --deep: part N of T of the files.")
    ] = "1/1",
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Findings listed; all are counted.")] = 50,
    json: Json = False,
) -> None:
    """Hold ledger, disk and database against each other; say whether every reading is there.

    Exit code 0: every one is. 1: findings. 2: it could not be finished.
    """
    import signal

    from sensorflow import bootstrap
    from sensorflow.flow.audit import Level
    from sensorflow.flow.audit import audit as run

    if sum((fast, checksum, deep)) > 1:
        raise Misuse("give one of --fast, --checksum and --deep; each looks at more than the last")
    level = Level.FAST if fast else Level.CHECKSUM if checksum else Level.DEEP if deep else None
    part = _subset(subset)
    settings = bootstrap.settings()
    if source is not None and source not in settings.sources:
        raise Misuse(f"--source {source}: one of {', '.join(settings.sources) or 'none'}")
    # a writer that opens a dropped file while we look whether somebody writes it would end us
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    sight = bootstrap.sight(settings, source)
    report = run(sight, Level.DEFAULT if level is None else level, part)
    if json:
        as_json(report.as_dict(limit))
    else:
        show(report, limit)
    raise typer.Exit(report.exit_code)


def _subset(text: str) -> Subset:
    from sensorflow.flow.audit import Subset

    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise Misuse(f"--subset {text}: give a part and how many there are, such as 1/7")
    return Subset(int(part), int(parts))


def show(report: Report, limit: int) -> None:
    listed = report.findings[:limit]
    if listed:
        heads = ("kind", "code", "source", "file", "name", "expected", "found")
        rows = [[f.kind, f.fault, f.source, f.file_id, f.name, f.expected, f.found] for f in listed]
        table("", heads, rows)
        if len(report.findings) > limit:
            line(f"and {len(report.findings) - limit:,} more; --limit lists them")
        line()
        for fault in dict.fromkeys(f.fault for f in report.findings):
            todo = next(f.todo for f in report.findings if f.fault is fault)
            line(f"{fault}: {todo}")
        line()
    for text in report.unseen:
        line(f"not looked at: {text}")
    for text in report.notes:
        line(f"note: {text}")
    for layer, count in sorted(report.expired.items()):
        line(f"expired: {layer} of {count:,} files, removed by retention")
    line(report.verdict)
