"""Determines the status of a project: the number of files in each state, the health of the processes, and
the failures that block files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sensorflow.core.account import Totals
from sensorflow.core.controls import Mode
from sensorflow.core.health import OUTAGE_SECONDS, Check, failing, health, stalled, storage, summary
from sensorflow.errors import REMEDY

if TYPE_CHECKING:
    from sensorflow.core.controls import Control
    from sensorflow.core.listing import Activity, LargeFile
    from sensorflow.ports.backlog import GatedFile
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings

SHORT = 60.0
"""Seconds after which a failure that blocks files is reported."""
MAX_SHOWN = 3
"""Maximum number of messages of other files that are shown for one failure."""
OUTAGE = "see `sensorflow files show {}` and the worker's log"


@dataclass(frozen=True)
class LongOutage:
    """A failure that has prevented files from being loaded for a minute or more.

    code: the error code with its name. files: number of blocked files. since: time of the first failure.
    detail: the error message of the file that has waited longest. todo: advice for the operator. passing:
    whether the failure began only a short time ago, so that it may be an outage that ends by itself.
    others: the different error messages of other files with the same code. workers: the processes that
    have failed last.
    """

    code: str
    files: int
    since: datetime
    detail: str
    todo: str
    passing: bool
    others: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()

    def __str__(self) -> str:
        since = f"{self._many} retried since {self.since:%Y-%m-%d %H:%M} UTC"
        return f"{since} with {self.code}: {self._reason}{self._seen_by}"

    @property
    def check(self) -> Check:
        """The failure in a few words."""
        return Check(
            "files", "warn" if self.passing else "fail", f"{self._many} retried with {self.code}"
        )

    @property
    def _many(self) -> str:
        return "1 file" if self.files == 1 else f"{self.files:,} files"

    @property
    def _seen_by(self) -> str:
        if not self.workers:
            return ""
        more = len(self.workers) - MAX_SHOWN
        return f"; seen by {', '.join(self.workers[:MAX_SHOWN])}" + (
            f" and {more} more" if more > 0 else ""
        )

    @property
    def _reason(self) -> str:
        if not self.others:
            return self.detail
        more = len(self.others) - MAX_SHOWN
        others = [*self.others[:MAX_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        return f"{self.detail}; other files: {'; '.join(others)}"


@dataclass(frozen=True)
class Status:
    """The result of `sensorflow status`.

    totals: source -> its numbers of files and readings. activity: source -> its recent activity. checks:
    results of the health checks of the processes. stuck: failures that block files. differs: a message if
    `sensorflow up` runs with other settings than sensorflow.toml; otherwise None. silent: source -> seconds
    since its last file, for the sources that have been silent for longer than their `silent_after`. unseen:
    sources from which no file has ever arrived. gated: files that wait for their gates, and gates that wait
    for their files. flower: the URL of Flower; None if `sensorflow up` does not run Flower. flower_login: a
    text with the user of Flower and the path of the file with the password. controls: source -> its mode,
    for paused and draining sources. large: the large files that workers are reading, with their progress.
    """

    totals: dict[str, Totals]
    activity: dict[str, Activity]
    checks: list[Check] = field(default_factory=list)
    stuck: list[LongOutage] = field(default_factory=list)
    differs: str | None = None
    silent: dict[str, float] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    gated: list[GatedFile] = field(default_factory=list)
    flower: str | None = None
    flower_login: str = ""
    controls: dict[str, Control] = field(default_factory=dict)
    large: list[LargeFile] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every reading that was read is accounted for, see `Totals.balanced`."""
        return sums_of(self.totals).balanced

    @property
    def well(self) -> bool:
        lasts = any(not s.passing for s in self.stuck)
        fails = any(c.verdict == "fail" for c in self.checks)
        late = any(w.is_overdue for w in self.gated)
        return self.balanced and not (self.differs or lasts or fails or late or self.silent)

    @property
    def health(self) -> str:
        return summary([*self.checks, *(stuck.check for stuck in self.stuck)])

    def as_dict(self) -> dict[str, Any]:
        return {
            "sources": {name: asdict(sums) for name, sums in self.totals.items()},
            "activity": {name: asdict(found) for name, found in self.activity.items()},
            "balanced": self.balanced,
            "well": self.well,
            "health": self.health,
            "silent": self.silent,
            "no_file_yet": self.unseen,
            "held_back": {name: asdict(control) for name, control in self.controls.items()},
            "large_files": [file.as_dict() for file in self.large],
            "gates": [w.as_dict() for w in self.gated],
            "settings": self.differs or "ok",
            "flower": self.flower,
            "lasting": [asdict(s) for s in self.stuck],
        }


def status(settings: Settings, ledger: Ledger, source: str | None = None) -> Status:
    """Return the status of a project. source: the only source to include; None for all sources. Raises
    Transient if the database is unreachable."""
    from sensorflow import bootstrap
    from sensorflow.embedded import state

    running = state.running(settings.data_folder) if settings.embedded else None
    password = state.home(settings.data_folder) / "flower-password"
    activity = {n: a for n, a in ledger.activity().items() if source in (None, n)}
    held = {n: control for n, control in ledger.controls().items() if source in (None, n)}
    return Status(
        {n: sums for n, sums in ledger.totals().items() if source in (None, n)},
        activity,
        processes(settings, ledger),
        long_outages(bootstrap.database_url(settings)),
        bootstrap.differs(settings),
        silent_sources(settings, activity, held),
        [n for n in settings.sources if n not in {*activity, *held} and source in (None, n)],
        waiting(settings, ledger, source),
        running.flower_url if running else None,
        f"user {settings.flower_user}, password in {password}",
        held,
        [file for file in ledger.large_files(settings.lease) if source in (None, file.source)],
    )


def sums_of(totals: Mapping[str, Totals]) -> Totals:
    return sum(totals.values(), Totals())


def processes(settings: Settings, ledger: Ledger) -> list[Check]:
    """Check the processes of the fleet by their heartbeats, and return the results. Raises Transient if
    the database is unreachable."""
    from sensorflow import bootstrap
    from sensorflow.adapters.host import has_ended
    from sensorflow.adapters.postgres import inspect

    digest = bootstrap.shared_digest(settings)
    beats = ledger.heartbeats()
    found = list(health(beats, digest, has_ended, settings.by_celery))
    found += storage(beats, settings.shared_zones())
    if any(beat.report.state.get("busy") for beat in beats):
        paused = {n for n, held in ledger.controls().items() if held.mode is Mode.PAUSED}
        waiting = sum(a.waiting for name, a in ledger.activity().items() if name not in paused)
        found += stalled(beats, waiting)
    hosts = inspect.failing_hosts(bootstrap.database_url(settings))
    return [*found, *failing(hosts, beats, datetime.now(UTC))]


def silent_sources(
    settings: Settings, activity: Mapping[str, Activity], held: Collection[str] = ()
) -> dict[str, float]:
    """Return the sources from which no file has arrived for longer than their `silent_after`: name of the
    source -> seconds since its last file. Two kinds of sources are not included: sources from which no file
    has ever arrived, and the paused and draining sources (`held`)."""
    found: dict[str, float] = {}
    for name, source in settings.sources.items():
        age = activity[name].last_file_age if name in activity else None
        after = source.silent_after
        if after is None or age is None or name in held:
            continue
        if age > after.total_seconds():
            found[name] = age
    return found


def waiting(settings: Settings, ledger: Ledger, source: str | None = None) -> list[GatedFile]:
    """Return the files that wait for their gates, and the gates that wait for their files. source: the only
    source to include; None for all sources. Unreachable folders are skipped. If a source is paused or
    draining, none of its files or gates counts as overdue.

    Raises Transient if the database is unreachable.
    """
    from sensorflow import bootstrap

    found: list[GatedFile] = []
    if not any(s.gate for n, s in settings.folders.items() if source in (None, n)):
        return found
    audit_store, held = bootstrap.audit_store(settings), ledger.controls()
    for backlog in bootstrap.backlogs(settings, ledger):
        if source in (None, backlog.name) and backlog.is_reachable():
            found += backlog.gated_files(audit_store)
    return [replace(w, is_overdue=False) if w.source in held else w for w in found]


def long_outages(url: str) -> list[LongOutage]:
    """Return the failures that have blocked files for `SHORT` seconds or longer. url: the URL of the
    database. Raises Transient if the database is unreachable."""
    from sensorflow.adapters.postgres import inspect

    long_ago = datetime.now(UTC) - timedelta(seconds=OUTAGE_SECONDS)
    return [
        LongOutage(
            row.code,
            row.files,
            row.since,
            row.detail or "",
            row.todo or _todo(row.code, row.file_id),
            row.since > long_ago and not row.lost,
            tuple(text for text in row.details if text and text != row.detail),
            tuple(row.workers),
        )
        for row in inspect.long_outages(url, SHORT)
    ]


def _todo(code: str, file_id: int) -> str:
    known = {str(code): todo for code, todo in REMEDY.items()}
    return known.get(code, OUTAGE.format(file_id))
