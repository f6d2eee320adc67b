"""sensorflow audit"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.choose import complete_source
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.core.findings import TODO
from sensorflow.errors import Misuse
from sensorflow.flow.choose import require

if TYPE_CHECKING:
    from sensorflow.flow.audit import Report, Sight, Subset
    from sensorflow.flow.audit.repair import Step


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
    source: Annotated[
        str | None, typer.Option(help="Only this source.", autocompletion=complete_source)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Findings listed; all are counted.")] = 50,
    repair: Annotated[
        bool, typer.Option("--repair", help="Say what would mend each finding; change nothing.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="With --repair: do it.")] = False,
    json: Json = False,
) -> None:
    """Hold ledger, disk and database against each other; say whether every reading is there.

    Exit code 0: every one is, or, with --apply, all was mended. 1: findings. 2: it could not be finished.
    """
    from sensorflow import bootstrap
    from sensorflow.flow.audit import Level
    from sensorflow.flow.audit import audit as run

    if sum((fast, checksum, deep)) > 1:
        raise Misuse("give one of --fast, --checksum and --deep; each looks at more than the last")
    level = Level.FAST if fast else Level.CHECKSUM if checksum else Level.DEEP if deep else None
    if apply and not repair:
        raise Misuse("--apply is for --repair; see first what `sensorflow audit --repair` would do")
    part = _subset(subset)
    settings = bootstrap.settings()
    if source is not None:
        require("--source", source, "source", settings.sources)
    sight = bootstrap.sight(settings, source)
    report = run(sight, Level.DEFAULT if level is None else level, part)
    steps = _mend(sight, report, apply) if repair else None
    if json:
        mended = {} if steps is None else {"repair": [_record(step) for step in steps]}
        as_json(report.as_dict(limit) | mended)
    else:
        show(report, limit)
        if steps is not None:
            show_steps(steps, apply)
    mended_all = apply and steps is not None and all(step.done for step in steps)
    raise typer.Exit(0 if mended_all and not report.unseen else report.exit_code)


def _mend(sight: Sight, report: Report, wanted: bool) -> list[Step]:
    from sensorflow.flow.audit import repair

    steps = repair.plan(sight, report)
    return repair.apply(sight, steps) if wanted else steps


def _record(step: Step) -> dict[str, Any]:
    f = step.finding
    known = {"code": str(f.fault), "file_id": f.file_id, "name": f.name, "path": f.path}
    told = {"act": str(step.act), "able": step.able, "done": step.done, "why": step.why}
    return {**known, **told}


def show_steps(steps: list[Step], applied: bool) -> None:
    line()
    rows = [
        [s.act, _answer(s, applied), str(f.file_id or ""), f.name or f.path, f.fault, s.why]
        for s, f in ((step, step.finding) for step in steps)
    ]
    if rows:
        heads = ("repair", "done" if applied else "can be", "file", "name", "for", "why")
        table("", heads, rows)
        line()
    able, done = sum(s.able for s in steps), sum(s.done for s in steps)
    if applied:
        line(
            f"repair: {done:,} of {len(steps):,} done; replays are the fleet's now: audit again after"
        )
    else:
        line(
            f"repair: {able:,} of {len(steps):,} can be mended; nothing was changed; --apply does it"
        )


def _answer(step: Step, applied: bool) -> str:
    return "yes" if (step.done if applied else step.able) else "no"


def _remedies(report: Report) -> dict[str, list[str]]:
    """What to do -> the codes that it is for."""
    codes: dict[str, list[str]] = {}
    for fault in sorted({f.fault for f in report.findings}):
        codes.setdefault(TODO[fault], []).append(fault.split()[0])
    return codes


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
        rows = [
            [f.kind, f.fault, f.source, str(f.file_id or ""), f.name, f.expected, f.found]
            for f in listed
        ]
        table("", heads, rows)
        if len(report.findings) > limit:
            line(f"and {len(report.findings) - limit:,} more; --limit lists them")
        line()
        for todo, codes in _remedies(report).items():
            line(f"{', '.join(codes)}: {todo}")
        line()
    for text in report.unseen:
        line(f"not looked at: {text}")
    for text in report.notes:
        line(f"note: {text}")
    for layer, count in sorted(report.expired.items()):
        line(f"expired: {layer} of {count:,} files, removed by retention")
    line(report.verdict)
