"""sensorflow status"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli import gated
from sensorflow.cli.selection import Source
from sensorflow.cli.show import Json, as_json, empty_table, line, readings, table
from sensorflow.core.account import LEFT, Totals
from sensorflow.core.states import State
from sensorflow.errors import SensorflowError, Transient, UsageError
from sensorflow.escaping import to_json
from sensorflow.flow.choose import require_source

if TYPE_CHECKING:
    from sensorflow.core.listing import Activity, LargeFile
    from sensorflow.status import Status

STATES = tuple(State)
INTERVAL_SECONDS = 2.0


def status(
    seconds: Annotated[
        float | None,
        typer.Argument(
            metavar="SECONDS", help="Only with --watch: update interval. Default: 2.", min=0.2
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Repeat until Ctrl-C: on a terminal as a live view, otherwise as one line each time.",
        ),
    ] = False,
    source: Source = None,
    json: Json = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Exit with 1 if anything is wrong, for cron and alerts. Not with --watch.",
        ),
    ] = False,
) -> None:
    """Show files by state, the lag of each source, and whether every row is accounted for.

    The exit code is 0. With --check, it is 1 if a process is down, paused or does not answer; `sensorflow
    up` uses outdated settings; an error prevents files from being loaded; a source is silent for longer
    than its silent_after; a gate or its file is overdue; or a row is missing.
    """
    from sensorflow import bootstrap
    from sensorflow.status import status as looked

    if seconds is not None and not watch:
        raise UsageError("SECONDS requires --watch: sensorflow status --watch 5")
    if watch and check:
        raise UsageError(
            "give either --watch or --check, not both: --watch repeats, --check runs once"
        )
    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)

    def get_status() -> Status:
        return looked(settings, ledger, source)

    if watch:
        _watch(get_status, seconds or INTERVAL_SECONDS, json)
        return
    try:
        seen = get_status()
    except SensorflowError:
        if difference := bootstrap.differs(settings):  # outdated settings may be the cause
            line(difference)
        raise
    if json:
        as_json(seen.as_dict())
    else:
        show_status(seen)
    if check and not seen.well:
        raise typer.Exit(1)


def show_status(found: Status) -> None:
    if found.differs:  # first, because all numbers may come from another database
        line(found.differs)
    show(found.totals)
    if found.activity:
        line()
        table("", HEADS, activity_rows(found.activity))
        line()
    for text in words(found):
        line(text)


def words(found: Status) -> list[str]:
    parts = [balance(found.totals), f"health: {found.health}", *silences(found.silent)]
    parts += [_held_back(found, name) for name in found.controls]
    parts += [_large(file) for file in found.large]
    if found.unseen:
        parts.append(f"no file of {', '.join(found.unseen)} has arrived yet")
    parts += gated.words(found.gated)
    parts += [f"{stuck}\n    {stuck.todo}" for stuck in found.stuck]
    if found.flower:
        parts.append(f"Flower: {found.flower}, {found.flower_login}")
    return parts


def _held_back(found: Status, name: str) -> str:
    waiting = found.activity[name].waiting if name in found.activity else 0
    files = "1 file waits" if waiting == 1 else f"{waiting:,} files wait"
    return f"source {name}: {found.controls[name]}; {files}; `sensorflow sources resume {name}`"


def _large(file: LargeFile) -> str:
    share = "" if file.percent is None else f" {file.percent:.0f} %,"
    left = "" if file.seconds_left is None else f", about {_span(file.seconds_left)} left"
    return (
        f"large file {file.file_id} {file.name} of {file.source}: {file.stage}{share} "
        f"{readings(file.rows)}, {file.rows_per_second:,.0f} rows/s{left}"
    )


def short(found: Status) -> str:
    """Returns the status as one line."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    rate = sum(a.rows_per_second for a in found.activity.values())
    oldest = max((a.oldest or 0.0 for a in found.activity.values()), default=0.0)
    waiting = sum(a.waiting for a in found.activity.values())
    behind = f"waiting={waiting} oldest={oldest:.0f}s rows/s={rate:.0f}"
    return f"{now} {balance(found.totals)}; {behind}; {'ok' if found.well else _wrong(found)}"


def _wrong(found: Status) -> str:
    differs = [found.differs] if found.differs else []
    return "; ".join([*differs, *words(found)[1:]]).replace("\n", " ")


def silences(found: dict[str, float]) -> list[str]:
    from sensorflow.core.health import span

    return [
        f"silent: no file of {name} has arrived for {span(age)}: check that its logger is on "
        "and writes to the drop folder"
        for name, age in found.items()
    ]


def _watch(get_status: Callable[[], Status], every: float, json: bool) -> None:
    """Print the status every `every` seconds until Ctrl-C, which ends the command without an error."""
    from rich.console import Console

    console = Console()
    try:
        if console.is_terminal and not json:
            _redraw(console, get_status, every)
        else:
            _append(get_status, every, json)
    except KeyboardInterrupt:
        return


def _redraw(console: Any, get_status: Callable[[], Status], every: float) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False) as live:
        while True:
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, every {every:g} s; Ctrl-C stops"
            try:
                seen = get_status()
            except Transient as error:
                drawn: Any = Text(f"{now}\n{error}")
            else:
                heads = ("source", "files", *STATES, "rows loaded")
                drawn = Group(
                    Text(now),
                    empty_table("", heads, rows(seen.totals)),
                    empty_table("", HEADS, activity_rows(seen.activity)),
                    *map(Text, words(seen)),
                )
            live.update(drawn, refresh=True)
            time.sleep(every)


def _append(get_status: Callable[[], Status], every: float, json: bool) -> None:
    from sensorflow.cli.show import plain

    while True:
        try:
            seen = get_status()
        except Transient as error:
            now = datetime.now(UTC).isoformat()
            text = to_json({"at": now, "error": str(error)}) if json else f"{now} {error}"
        else:
            facts = {"at": datetime.now(UTC), **seen.as_dict()} if json else {}
            text = to_json(facts, default=plain) if json else short(seen)
        line(text)
        sys.stdout.flush()
        time.sleep(every)


def show(totals: dict[str, Totals]) -> None:
    table("", ("source", "files", *STATES, "rows loaded"), rows(totals))


def rows(totals: dict[str, Totals]) -> list[list[Any]]:
    return [
        [source, sums.files, *(getattr(sums, state) for state in STATES), sums.rows_loaded]
        for source, sums in sorted(totals.items())
    ]


HEADS = (
    "source",
    "waiting",
    "oldest waits",
    "last file",
    "last reading",
    "rows/s",
    "failed 1 h",
)


def activity_rows(activity: dict[str, Activity]) -> list[list[Any]]:
    return [
        [
            name,
            a.waiting,
            _span(a.oldest),
            _seconds_ago(a.last_file_age),
            _seconds_ago(a.last_reading_age),
            f"{a.rows_per_second:,.1f}",
            a.quarantined,
        ]
        for name, a in sorted(activity.items())
    ]


def _span(seconds: float | None) -> str:
    from sensorflow.core.health import span

    return "" if seconds is None else span(max(0.0, seconds))


def _seconds_ago(seconds: float | None) -> str:
    """Returns a text such as "5 min ago". For negative seconds, that is, a time in the future, a text such
    as "in 5 min"; for None, ""."""
    if seconds is None:
        return ""
    return f"in {_span(-seconds)}" if seconds < 0 else f"{_span(seconds)} ago"


def balance(totals: dict[str, Totals]) -> str:
    """Returns a line with the sums of all sources, which says whether every reading is accounted for."""
    s = sum(totals.values(), Totals())
    verdict = "ok" if s.balanced else "WRONG"
    parts = {name: getattr(s, name) for name in dict.fromkeys(LEFT.values())}
    left = {name.removeprefix("rows_"): count for name, count in parts.items() if count}
    if left:
        verdict += (
            f"; not loaded: {', '.join(f'{count} {reason}' for reason, count in left.items())}"
        )
    if s.rows_replaced:
        verdict += f"; {s.rows_replaced} of the loaded readings were replaced by newer versions"
    return (
        f"balance: read={s.rows_read} loaded={s.rows_loaded} rejected={s.rows_rejected} "
        f"duplicates={s.rows_duplicate} not_loaded={s.rows_not_loaded} {verdict}"
    )
