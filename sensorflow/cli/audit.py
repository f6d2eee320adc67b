"""sensorflow audit"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.selection import complete_source
from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.core.findings import TODO
from sensorflow.errors import UsageError
from sensorflow.flow.choose import require

if TYPE_CHECKING:
    from sensorflow.flow.audit import AuditContext, Report, Subset
    from sensorflow.flow.audit.repair import RepairStep


def audit(
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Check only drop folders, landing zone, quarantine and the balance."
        ),
    ] = False,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Also verify the checksum of every stored reading.")
    ] = False,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="As --checksum, and also hash and parse the original bytes of every file.",
        ),
    ] = False,
    subset: Annotated[
        str,
        typer.Option(
            metavar="N/T", help="Only with --deep: hash and parse only part N of T of the files."
        ),
    ] = "1/1",
    source: Annotated[
        str | None, typer.Option(help="Audit only this source.", autocompletion=complete_source)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of findings to list.")] = 50,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Show how to fix each finding. Changes nothing without --apply."
        ),
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Only with --repair: apply the fixes.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare ledger, disk and database, and report every missing or damaged reading.

    Give at most one of --fast, --checksum and --deep.

    Exit codes: 0 if there are no findings or --apply has fixed all of them, 1 if there are findings, 2 if
    the audit could not finish.
    """
    from sensorflow import bootstrap
    from sensorflow.flow.audit import Level
    from sensorflow.flow.audit import audit as run

    if sum((fast, checksum, deep)) > 1:
        raise UsageError(
            "give only one of --fast, --checksum and --deep; --deep includes the checks of --checksum"
        )
    level = Level.FAST if fast else Level.CHECKSUM if checksum else Level.DEEP if deep else None
    if apply and not repair:
        raise UsageError(
            "--apply requires --repair; run `sensorflow audit --repair` first to review the fixes"
        )
    part = _subset(subset)
    settings = bootstrap.settings()
    if source is not None:
        require("--source", source, "source", settings.sources)
    context = bootstrap.audit_context(settings, source)
    report = run(context, Level.DEFAULT if level is None else level, part)
    steps = _repair(context, report, apply) if repair else None
    if json:
        repairs = {} if steps is None else {"repair": [_as_dict(step) for step in steps]}
        as_json(report.as_dict(limit) | repairs)
    else:
        show(report, limit)
        if steps is not None:
            show_steps(steps, apply)
    mended_all = apply and steps is not None and all(step.done for step in steps)
    raise typer.Exit(0 if mended_all and not report.not_checked else report.exit_code)


def _repair(context: AuditContext, report: Report, wanted: bool) -> list[RepairStep]:
    from sensorflow.flow.audit import repair

    steps = repair.plan(context, report)
    return repair.apply(context, steps) if wanted else steps


def _as_dict(step: RepairStep) -> dict[str, Any]:
    f = step.finding
    known = {"code": str(f.fault), "file_id": f.file_id, "name": f.name, "path": f.path}
    entry = {
        "act": str(step.action),
        "able": step.is_allowed,
        "done": step.done,
        "why": step.reason,
    }
    return {**known, **entry}


def show_steps(steps: list[RepairStep], applied: bool) -> None:
    line()
    rows = [
        [s.action, _answer(s, applied), str(f.file_id or ""), f.name or f.path, f.fault, s.reason]
        for s, f in ((step, step.finding) for step in steps)
    ]
    if rows:
        heads = ("repair", "done" if applied else "possible", "file", "name", "for", "why")
        table("", heads, rows)
        line()
    able, done = sum(s.is_allowed for s in steps), sum(s.done for s in steps)
    if applied:
        line(
            f"repair: {done:,} of {len(steps):,} done; workers now process the replays: audit again later"
        )
    else:
        line(
            f"repair: {able:,} of {len(steps):,} can be fixed; nothing was changed: add --apply to fix them"
        )


def _answer(step: RepairStep, applied: bool) -> str:
    return "yes" if (step.done if applied else step.is_allowed) else "no"


def _remedies(report: Report) -> dict[str, list[str]]:
    """Returns the remedies for the findings: remedy -> codes of the findings that it fixes."""
    codes: dict[str, list[str]] = {}
    for fault in sorted({f.fault for f in report.findings}):
        codes.setdefault(TODO[fault], []).append(fault.split()[0])
    return codes


def _subset(text: str) -> Subset:
    from sensorflow.flow.audit import Subset

    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UsageError(f"--subset {text}: give N/T, part N of T, for example 1/7")
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
            line(f"and {len(report.findings) - limit:,} more: raise --limit to list them")
        line()
        for todo, codes in _remedies(report).items():
            line(f"{', '.join(codes)}: {todo}")
        line()
    for text in report.not_checked:
        line(f"not checked: {text}")
    for text in report.notes:
        line(f"note: {text}")
    for layer, count in sorted(report.expired.items()):
        line(f"expired: {layer} of {count:,} files, removed by retention")
    line(report.verdict)
