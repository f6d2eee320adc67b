"""sensorflow sources pause, resume, drain"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.selection import complete_source
from sensorflow.cli.show import Json, as_json, line
from sensorflow.core.controls import ACTIVE, Mode
from sensorflow.core.health import span
from sensorflow.errors import Code, UsageError
from sensorflow.escaping import escape

if TYPE_CHECKING:
    from sensorflow.core.controls import Control
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings

POLL_SECONDS = 0.5
REPORT_SECONDS = 10.0
"""Seconds between two lines of `drain --wait`."""

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", autocompletion=complete_source)
]
All = Annotated[bool, typer.Option("--all", help="All sources.")]
Reason = Annotated[
    str | None, typer.Option(help="The reason. `sources ls`, `status` and `doctor` show it.")
]


def pause(
    names: Names = None, every: All = False, reason: Reason = None, json: Json = False
) -> None:
    """Stop the intake of sources, and send none of their files to workers.

    Workers still finish the files that were sent before. All daemons apply the pause within seconds. A
    source stays paused until it is resumed, also after a restart.
    """
    _hold_back(Mode.PAUSED, names, every, reason, json)


def drain(
    names: Names = None,
    every: All = False,
    reason: Reason = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Return when no file of the sources is pending or running."),
    ] = False,
    json: Json = False,
) -> None:
    """Stop the intake of sources, and finish the registered files.

    The intake stays stopped until the source is resumed, also after a restart. With --wait, the exit code
    is 1 if somebody resumes or pauses a source before it is drained.
    """
    _hold_back(Mode.DRAINING, names, every, reason, json, wait)


def resume(names: Names = None, every: All = False, json: Json = False) -> None:
    """Make paused and draining sources active again."""
    settings, ledger = _opened()
    held = ledger.controls()
    sources = _chosen([*settings.sources, *held], names, every)
    orphaned = dict(_orphaned(settings, ledger, sources))
    if orphaned and not every:
        raise UsageError(next(iter(orphaned.values())), Code.SETTINGS)
    done = {source: ledger.resume(source) for source in sources if source not in orphaned}
    for text in orphaned.values():
        _report(text, json)
    if json:
        as_json([{"source": s, "state": ACTIVE, "resumed": found} for s, found in done.items()])
        return
    for source, found in done.items():
        line(f"{source}: {'resumed' if found else 'was active already'}")


def _orphaned(
    settings: Settings, ledger: Ledger, sources: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yields each of these sources that is not in the settings, but has files that wait, and a message."""
    missing = [source for source in sources if source not in settings.sources]
    totals = ledger.totals() if missing else {}
    for source in missing:
        if source in totals and (count := totals[source].pending):
            files = "1 file waits" if count == 1 else f"{count:,} files wait"
            text = (
                f"source {source} stays as it is: {files}, and workers would quarantine what waits "
            )
            text += (
                f"(F209), because the settings do not define the source. Define [sources.{source}] "
            )
            yield source, text + "again, then resume it"


def _hold_back(
    mode: Mode,
    names: list[str] | None,
    every: bool,
    reason: str | None,
    json: bool,
    wait: bool = False,
) -> None:
    import socket

    from sensorflow import disk

    settings, ledger = _opened()
    sources = _chosen(list(settings.sources), names, every)
    actor = f"{disk.user()}@{socket.gethostname()}"
    reason = (
        " ".join((reason or "").split()) or None
    )  # a line break would break the lines of `sources ls`
    done = [ledger.hold_back(source, mode, actor, reason) for source in sources]
    if not json:
        for control in done:
            line(
                f"{control.source}: {control}; to end this: sensorflow sources resume {control.source}"
            )
    if wait:
        _wait(settings, ledger, sources, json)
    if json:
        as_json([record(control) | ({"drained": True} if wait else {}) for control in done])


def record(control: Control) -> dict[str, Any]:
    """Returns a control as JSON data."""
    facts = asdict(control)
    return {"source": facts.pop("source"), "state": str(facts.pop("mode")), **facts}


def paused(ledger: Ledger, sources: Collection[str]) -> Iterator[str]:
    """Yields a line for each of these sources that is paused. The line says that the source's files
    wait."""
    for source, control in ledger.controls().items():
        if source in sources and control.mode is Mode.PAUSED:
            yield f"source {source} is {control}: its files wait until `sensorflow sources resume {source}`"


def _opened() -> tuple[Settings, Ledger]:
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    return settings, bootstrap.ledger(settings, "cli")


def _chosen(known: Sequence[str], names: list[str] | None, every: bool) -> list[str]:
    """Returns the sources that the arguments select. known: the sources that exist. every: whether all
    sources are selected. Raises UsageError for a source that does not exist, and unless either names or
    `every` are given."""
    from sensorflow.flow.choose import suggestion

    known = list(dict.fromkeys(known))
    if every and names:
        raise UsageError("give either names of sources or --all, not both")
    if not every and not names:
        raise UsageError("give names of sources, or --all: `sensorflow sources ls` lists them")
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise UsageError(f"no source {', '.join(unknown)}; {suggestion(unknown[0], known)}")
    return known if every else list(dict.fromkeys(names or ()))


def _wait(settings: Settings, ledger: Ledger, sources: Sequence[str], json: bool) -> None:
    """Wait until the sources are drained, and print the progress. Raises Exit 1 if one of them is resumed
    or paused before."""
    report_at = time.monotonic() + POLL_SECONDS
    try:
        while left := list(_left(settings, ledger, sources)):
            now = time.monotonic()
            if now >= report_at:
                report_at = now + REPORT_SECONDS
                for text in left:
                    _report(text, json)
            time.sleep(POLL_SECONDS)
            held = ledger.controls()
            for source in sources:
                if source not in held or held[source].mode is not Mode.DRAINING:
                    now_ = held.get(source, ACTIVE)
                    _report(f"{source}: not drained, because it is {now_}", json)
                    raise typer.Exit(1)
    except KeyboardInterrupt:
        _report("stopped waiting; the sources are still draining", json)
        raise typer.Exit(130) from None
    for source in sources:
        _report(f"{source}: drained, no file is pending or running", json)


def _report(text: str, json: bool) -> None:
    """Print a line about the progress. With JSON, it is printed on stderr, so that stdout is valid JSON."""
    if json:
        sys.stderr.write(escape(text) + "\n")
    else:
        line(text)
        sys.stdout.flush()


def _left(settings: Settings, ledger: Ledger, sources: Sequence[str]) -> Iterator[str]:
    """Yields a line for each reason why the sources are not drained yet: a daemon that has not stopped its
    intake, and may therefore register another file, or unfinished files."""
    from sensorflow import bootstrap
    from sensorflow.adapters.host import has_ended
    from sensorflow.adapters.postgres import inspect
    from sensorflow.core.heartbeat import Role

    for beat in ledger.heartbeats():
        report = beat.report
        if report.role is not Role.INTAKE or not beat.is_alive or has_ended(report.process):
            continue
        held = report.state.get("controls") or {}
        for source in sources:
            if source in report.state.get("sources", ()) and source not in held:
                yield f"{source}: {report.place} has not stopped its intake yet"
    for row in inspect.backlog(bootstrap.database_url(settings)):
        if row.source in sources:
            count = "1 file is" if row.files == 1 else f"{row.files:,} files are"
            yield f"{row.source}: {count} pending or running, the oldest for {span(row.age)}"
