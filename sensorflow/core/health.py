"""Health checks based on heartbeats: which processes run, which processes send no heartbeat, and which
processes are paused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.errors import REMEDY, Code

Verdict = Literal["ok", "warn", "fail"]
MISSED = 3600.0
"""If a process has sent no heartbeat for longer than this number of seconds, and another process does its
work, the check yields a warning instead of a failure."""
STALLED = 5
"""If files wait, and no process has finished a file for this number of minutes, the check yields a
warning."""
STUCK_FOR = 15
"""If files wait, and no process has finished a file for this number of minutes, the check fails."""
NAMES = {
    "daemon": (Role.INTAKE, Role.PUBLISHER),
    "workers": (Role.WORKER,),
    "beat": (Role.BEAT,),
}
STARTED = {
    "daemon": "start `sensorflow watch`, or all with `sensorflow up`",
    "workers": "start `sensorflow worker`, or all with `sensorflow up`",
    "beat": "start `celery -A workers beat`, or all with `sensorflow up`",
}
STUCK = "it is suspended, hangs or cannot reach the database: check its log, then end it and start it again"
UNSET = "not set"
APART = (
    "the hosts store files in different places: give all of them the same [storage], restart the "
    "processes that differ, and run `sensorflow audit`"
)
OUTAGE_SECONDS = 600.0
"""Seconds after which a failure no longer counts as an outage that ends by itself."""
DOWN = "run `sensorflow storage check` on this host"
ALONE = (
    "other hosts load files: run `sensorflow storage check` on this host with the environment of its "
    "worker, and compare its credentials and [storage] with theirs"
)
RESUMES = "fix this cause; work then resumes automatically, but settings are read only at a restart"
BROKEN = "this feed has a defect: report the traceback in the daemon's log (`defect`) to the feed's author"


@dataclass(frozen=True)
class Check:
    """The result of one health check. todo: what the user must do if the verdict is not "ok"."""

    what: str
    verdict: Verdict
    found: str
    todo: str = ""


def storage(beats: Sequence[Heartbeat], zones: Mapping[str, str]) -> Iterator[Check]:
    """Yield a check for each location in which running processes differ from the caller. It only warns
    while zones are moved, because then processes are restarted one after the other. zones: the locations of
    the caller, as in `Settings.shared_zones`."""
    known = [(b, b.report.state.get("storage") or {}) for b in beats if b.is_alive]
    known = [(beat, other) for beat, other in known if other]
    is_moved = "previous" in zones or any("previous" in other for _, other in known)
    for name in dict.fromkeys([*zones, *(name for _, other in known for name in other)]):
        mine, places = zones.get(name, UNSET), dict[str, set[str]]()
        for beat, other in known:
            if (theirs := other.get(name, UNSET)) != mine:
                places.setdefault(theirs, set()).add(f"{beat.report.host}:{beat.report.pid}")
        if places:
            text = ", ".join(
                f"{where} at {', '.join(sorted(who))}" for where, who in places.items()
            )
            found = f"storage.{name}: {text}; but {mine} for this command"
            yield Check("storage", "warn" if is_moved else "fail", found, APART)


@dataclass(frozen=True)
class FailingHost:
    """A host whose workers cannot use a store. host: role and host, such as "worker@a". failures, files:
    how often they have failed since they last finished a file, and at how many files. since, latest: times
    of the first and the last failure. why: the last error, with its code. others_work: whether another host
    has finished a file in this time."""

    host: str
    failures: int
    files: int
    since: datetime
    latest: datetime
    why: str
    others_work: bool


def failing(
    found: Sequence[FailingHost], beats: Sequence[Heartbeat], now: datetime
) -> Iterator[Check]:
    """Yield a check for each host whose running workers cannot use a store. It fails if other hosts can, or
    if the failure has lasted long. Workers that were started after the last failure are not blamed."""
    for one in found:
        started = [
            b.started_at
            for b in beats
            if b.is_alive and f"{b.report.role}@{b.report.host}" == one.host
        ]
        if not any(at <= one.latest for at in started):
            continue
        lasts = one.others_work or now - one.since > timedelta(seconds=OUTAGE_SECONDS)
        text = f"{one.host} has failed {one.failures:,} times at {one.files:,} files since "
        text += f"{one.since:%Y-%m-%d %H:%M} UTC and loaded none, last with {one.why}"
        yield Check(
            "storage", "fail" if lasts else "warn", text, ALONE if one.others_work else DOWN
        )


def health(
    beats: Sequence[Heartbeat],
    digest: str | None,
    has_ended: Callable[[str], bool],
    by_celery: bool = True,
) -> Iterator[Check]:
    """Yield the checks in three groups: whether daemon, workers and beat run; whether they are paused;
    whether they run with the same settings as the caller.

    digest: the digest of the caller's settings; None skips the check of settings. has_ended: a function
    that returns whether a process, given by its id, has certainly ended. by_celery: see
    `Settings.by_celery`. If False, no beat is expected.
    """
    known = [b for b in beats if b.is_alive or not has_ended(b.report.process)]
    gone = [b for b in replaced_loops(known) if b.age > MISSED]
    known = [b for b in known if b not in gone]
    known = [b for b in known if not b.report.state.get("ending")]  # it finishes its last files
    for name, roles in NAMES.items():
        if name == "beat" and not by_celery:
            continue
        yield from _running(name, [b for b in known if b.report.role in roles], len(roles))
    live = [b for b in known if b.is_alive]
    yield from _paused(live)
    if digest is not None:
        yield from _settings(live, digest)


def _running(name: str, beats: Sequence[Heartbeat], loops: int) -> Iterator[Check]:
    live = [b for b in beats if b.is_alive]
    silent = [b for b in beats if not b.is_alive]
    complete = len({b.report.role for b in live}) == loops
    gone = replaced_loops(beats)
    for beat in silent:
        loop = f"the {beat.report.role} loop of " if loops > 1 else ""
        found = f"{loop}{beat.report.place} has sent no heartbeat for {span(beat.age)}"
        if complete and beat in gone:
            todo = "nothing to do if its container or host was restarted: another process has replaced it"
            yield Check(name, "warn", found, todo)
        elif complete and beat.age > MISSED:
            yield Check(
                name,
                "warn",
                found,
                "nothing to do if it was removed permanently: another process is running",
            )
        else:
            yield Check(name, "fail", found, STUCK)
    for beat in live:
        if stopped := beat.report.state.get("stopped"):
            found = f"{stopped} processes of {beat.report.place} are suspended (SIGSTOP)"
            yield Check(
                name,
                "fail",
                found,
                "continue them with `kill -CONT`, or end them: new processes replace them",
            )
    if complete:
        yield Check(name, "ok", _places(name, live))
    elif not silent:
        yield Check(name, "fail", "none is running", STARTED[name])
    if name == "beat" and len(live) > 1:
        found = f"{len(live)} processes are running, and each sends every task"
        yield Check(name, "warn", found, "end all of them except one")


def stalled(beats: Sequence[Heartbeat], waiting: int) -> Iterator[Check]:
    """If files wait although no worker process has finished a file for a long time, yield a check that
    warns or fails; otherwise yield nothing. waiting: number of files that are not loaded yet."""
    live = [b.report.state for b in beats if b.is_alive and b.report.role is Role.WORKER]
    minutes = min((int(state.get("busy", 0)) for state in live), default=0)
    children = sum(int(state.get("children", 0)) for state in live)
    if minutes >= STALLED and waiting > children:
        found = f"no process has finished a file for {minutes} minutes, and {waiting:,} files wait"
        todo = "`sensorflow files ls --state running` lists the files that the processes read; each is "
        todo += (
            "stopped after max_seconds. With more processes, other files would not wait for these"
        )
        yield Check("workers", "fail" if minutes >= STUCK_FOR else "warn", found, todo)


def replaced_loops(beats: Sequence[Heartbeat]) -> list[Heartbeat]:
    """Return the loops that have sent no heartbeat recently, and that a newer loop has replaced.

    A newer loop replaces an older one if both have the same role and host name, but the newer loop runs in
    another container, or started after the host was rebooted. In that case there is no way to find out
    whether the old process has ended. Each newer loop replaces at most one older loop.
    """
    silent = sorted((b for b in beats if not b.is_alive), key=lambda b: b.beat_at, reverse=True)
    free, found = list(beats), []
    for old in silent:  # the latest first, because it has the fewest candidates
        for new in free:
            if _replaces(new, old):
                free.remove(new)
                found.append(old)
                break
    return found


def _replaces(new: Heartbeat, old: Heartbeat) -> bool:
    a, b = new.report, old.report
    same = (a.role, a.host) == (b.role, b.host)
    return same and a.namespace != b.namespace and new.started_at > old.beat_at


def _places(name: str, live: Sequence[Heartbeat]) -> str:
    hosts = sorted({f"{b.report.host}:{b.report.pid}" for b in live})
    shown = ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
    if name != "workers":
        return shown
    limit = sum(int(b.report.state.get("most", 0)) for b in live)
    return (
        f"{shown}; {sum(int(b.report.state.get('children', 0)) for b in live)} of {limit} processes"
    )


def _paused(live: Sequence[Heartbeat]) -> Iterator[Check]:
    for beat in live:
        if (paused := beat.report.paused) is not None:
            found = f"{beat.report.place} has been waiting since {paused.get('since')}: "
            found += f"{paused.get('code')}: {paused.get('reason')}"
            todo = paused.get("do") or RESUMES
            yield Check("paused", "fail", found, str(todo))
        for source, reason in (beat.report.state.get("defects") or {}).items():
            found = f"its feed has a defect; this source waits, other sources do not: {reason}"
            yield Check(f"source {source}", "fail", found, BROKEN)
        for source, reason in (beat.report.state.get("short") or {}).items():
            found = f"its next file does not fit on the disk; only this source waits: {reason}"
            yield Check(f"source {source}", "fail", found, REMEDY[Code.DISK_RESERVE])


def _settings(live: Sequence[Heartbeat], digest: str) -> Iterator[Check]:
    other = sorted({f"{b.report.host}:{b.report.pid}" for b in live if b.report.settings != digest})
    if other:
        found = f"{', '.join(other)}: running with other settings than this command"
        todo = (
            "restart that process with the settings of this command, or run this command with the "
        )
        todo += "environment and sensorflow.toml of that process"
        yield Check("running settings", "warn", found, todo)


def summary(checks: Sequence[Check]) -> str:
    """Return the failed checks as one line; if no check failed, the warnings; otherwise "ok"."""
    wrong = [c for c in checks if c.verdict == "fail"]
    wrong = wrong or [c for c in checks if c.verdict == "warn"]
    return "; ".join(f"{c.what}: {c.found}" for c in wrong) or "ok"


def span(seconds: float) -> str:
    """Return a duration in seconds as text, in a suitable unit."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
