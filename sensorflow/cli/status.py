"""sensorflow status"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli import gated
from sensorflow.cli.choose import Source
from sensorflow.cli.show import Json, as_json, line, made_table, table
from sensorflow.core.account import LEFT, Totals
from sensorflow.core.states import State
from sensorflow.errors import Misuse, SensorflowError, Transient
from sensorflow.flow.choose import require_source
from sensorflow.shown import json_of

if TYPE_CHECKING:
    from sensorflow.cli.lasting import Lasting
    from sensorflow.core.health import Check
    from sensorflow.core.listing import Activity
    from sensorflow.ports.backlog import Waiting
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings

STATES = tuple(State)
EVERY = 2.0


def status(
    seconds: Annotated[
        float | None,
        typer.Argument(metavar="SECONDS", help="With --watch: how often. Default: 2.", min=0.2),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Repeat until Ctrl-C: redrawn in a terminal, else a line each time."
        ),
    ] = False,
    source: Source = None,
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless all is well; for cron and alerts.")
    ] = False,
) -> None:
    """How many files are where, how far behind each source is, and whether every row is accounted for.

    Exits with 0 whatever it shows. With --check it exits with 1 where a process does not run or answer,
    or is paused, `sensorflow up` works with other settings, an error keeps files, a source has been silent
    for longer than its silent_after, a gate or its file is overdue, or a row is missing.
    """
    from sensorflow import bootstrap

    if seconds is not None and not watch:
        raise Misuse("seconds are for --watch: sensorflow status --watch 5")
    if watch and check:
        raise Misuse("--watch goes on until Ctrl-C, --check looks once: give one of them")
    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    require_source(settings, ledger, source)

    def look() -> Seen:
        return looked(settings, ledger, source)

    if watch:
        _watch(look, seconds or EVERY, json)
        return
    try:
        seen = look()
    except SensorflowError:
        if told := bootstrap.differs(settings):  # it may be why
            line(told)
        raise
    if json:
        as_json(seen.as_dict())
    else:
        seen.print()
    if check and not seen.well:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Seen:
    """What `status` says. differs: how the settings of `up` are others. silent: source -> seconds. unseen:
    sources of which no file has come yet. gated: what waits for gates."""

    totals: dict[str, Totals]
    activity: dict[str, Activity]
    checks: list[Check] = field(default_factory=list)
    stuck: list[Lasting] = field(default_factory=list)
    differs: str | None = None
    silent: dict[str, float] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    gated: list[Waiting] = field(default_factory=list)
    flower: str | None = None
    flower_login: str = ""

    @property
    def well(self) -> bool:
        lasts = any(not s.passing for s in self.stuck)
        fails = any(c.verdict == "fail" for c in self.checks)
        late = any(w.is_overdue for w in self.gated)
        return sums_of(self.totals).balanced and not (
            self.differs or lasts or fails or late or self.silent
        )

    @property
    def health(self) -> str:
        from sensorflow.core.health import summary

        return summary(self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {
            "sources": {name: asdict(sums) for name, sums in self.totals.items()},
            "activity": {name: asdict(found) for name, found in self.activity.items()},
            "balanced": sums_of(self.totals).balanced,
            "well": self.well,
            "health": self.health,
            "silent": self.silent,
            "no_file_yet": self.unseen,
            "gates": [w.as_dict() for w in self.gated],
            "settings": self.differs or "ok",
            "flower": self.flower,
            "lasting": [asdict(s) for s in self.stuck],
        }

    def print(self) -> None:
        if self.differs:  # first: what follows may be of another database
            line(self.differs)
        show(self.totals)
        if self.activity:
            line()
            table("", HEADS, activity_rows(self.activity))
            line()
        for text in self.words():
            line(text)

    def words(self) -> list[str]:
        told = [balance(self.totals), f"health: {self.health}", *silences(self.silent)]
        if self.unseen:
            told.append(f"no file of {', '.join(self.unseen)} has come yet")
        told += gated.words(self.gated)
        told += [f"{found}\n    {found.todo}" for found in self.stuck]
        if self.flower:
            told.append(f"Flower: {self.flower}, {self.flower_login}")
        return told

    def short(self) -> str:
        """One line."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        rate = sum(a.rows_per_second for a in self.activity.values())
        oldest = max((a.oldest or 0.0 for a in self.activity.values()), default=0.0)
        waiting = sum(a.waiting for a in self.activity.values())
        behind = f"waiting={waiting} oldest={oldest:.0f}s rows/s={rate:.0f}"
        return f"{now} {balance(self.totals)}; {behind}; {'ok' if self.well else self._wrong}"

    @property
    def _wrong(self) -> str:
        return "; ".join([*([self.differs] if self.differs else []), *self.words()[1:]]).replace(
            "\n", " "
        )


def looked(settings: Settings, ledger: Ledger, source: str | None = None) -> Seen:
    """Raises Transient."""
    from sensorflow import bootstrap
    from sensorflow.cli.lasting import lasting
    from sensorflow.cli.running import processes
    from sensorflow.embedded import state

    running = state.running(settings.data_folder) if settings.embedded else None
    activity = {n: a for n, a in ledger.activity().items() if source in (None, n)}
    return Seen(
        {n: sums for n, sums in ledger.totals().items() if source in (None, n)},
        activity,
        processes(settings, ledger),
        lasting(bootstrap.database_url(settings)),
        bootstrap.differs(settings),
        silent(settings, activity),
        [n for n in settings.sources if n not in activity and source in (None, n)],
        gated.waiting(settings, ledger, source),
        running.flower_url if running else None,
        f"user {settings.flower_user}, password in {secret_file(settings)}",
    )


def silent(settings: Settings, activity: dict[str, Activity]) -> dict[str, float]:
    """Sources of which no file has arrived for longer than their `silent_after`: for how many seconds."""
    found: dict[str, float] = {}
    for name, source in settings.sources.items():
        age = activity[name].last_file_age if name in activity else None
        after = source.silent_after
        if after is not None and age is not None and age > after.total_seconds():
            found[name] = age
    return found


def silences(found: dict[str, float]) -> list[str]:
    from sensorflow.core.health import span

    return [
        f"silent: no file of {name} has arrived for {span(age)}: is its logger on, and does it "
        "write into the drop folder?"
        for name, age in found.items()
    ]


def _watch(look: Callable[[], Seen], every: float, json: bool) -> None:
    """Until Ctrl-C, which ends it as it is meant to."""
    from rich.console import Console

    console = Console()
    try:
        if console.is_terminal and not json:
            _redraw(console, look, every)
        else:
            _append(look, every, json)
    except KeyboardInterrupt:
        return


def _redraw(console: Any, look: Callable[[], Seen], every: float) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False) as live:
        while True:
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, every {every:g} s; Ctrl-C ends it"
            try:
                seen = look()
            except Transient as error:
                drawn: Any = Text(f"{now}\n{error}")
            else:
                heads = ("source", "files", *STATES, "rows loaded")
                drawn = Group(
                    Text(now),
                    made_table("", heads, rows(seen.totals)),
                    made_table("", HEADS, activity_rows(seen.activity)),
                    *map(Text, seen.words()),
                )
            live.update(drawn, refresh=True)
            time.sleep(every)


def _append(look: Callable[[], Seen], every: float, json: bool) -> None:
    from sensorflow.cli.show import plain

    while True:
        try:
            seen = look()
        except Transient as error:
            now = datetime.now(UTC).isoformat()
            said = json_of({"at": now, "error": str(error)}) if json else f"{now} {error}"
        else:
            told = {"at": datetime.now(UTC), **seen.as_dict()} if json else {}
            said = json_of(told, default=plain) if json else seen.short()
        line(said)
        sys.stdout.flush()
        time.sleep(every)


def secret_file(settings: Settings) -> Path:
    from sensorflow.embedded import state

    return state.home(settings.data_folder) / "flower-password"


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
            _ago(a.last_file_age),
            _ago(a.last_reading_age),
            f"{a.rows_per_second:,.1f}",
            a.quarantined,
        ]
        for name, a in sorted(activity.items())
    ]


def _span(seconds: float | None) -> str:
    from sensorflow.core.health import span

    return "" if seconds is None else span(max(0.0, seconds))


def _ago(seconds: float | None) -> str:
    """A reading may be of the future."""
    if seconds is None:
        return ""
    return f"in {_span(-seconds)}" if seconds < 0 else f"{_span(seconds)} ago"


def sums_of(totals: dict[str, Totals]) -> Totals:
    return sum(totals.values(), Totals())


def balance(totals: dict[str, Totals]) -> str:
    """The line that says whether every reading that was read, of whatever file, is accounted for."""
    s = sums_of(totals)
    verdict = "ok" if s.balanced else "WRONG"
    parts = {name: getattr(s, name) for name in dict.fromkeys(LEFT.values())}
    left = {name.removeprefix("rows_"): count for name, count in parts.items() if count}
    if left:
        verdict += f"; not loaded: {', '.join(f'{count} {why}' for why, count in left.items())}"
    if s.rows_replaced:
        verdict += f"; {s.rows_replaced} of the loaded were replaced by newer versions"
    return (
        f"balance: read={s.rows_read} loaded={s.rows_loaded} rejected={s.rows_rejected} "
        f"duplicates={s.rows_duplicate} not_loaded={s.rows_not_loaded} {verdict}"
    )
