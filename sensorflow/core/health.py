"""What the heartbeats say: who runs, who does not answer, what waits for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sensorflow.core.heartbeat import Heartbeat, Role

Verdict = Literal["ok", "warn", "fail"]
MISSED = 3600.0
"""Seconds for which a process that does not answer is missed while another one does its work."""
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
STUCK = (
    "it is stopped, hangs or cannot reach the database: look at its log; end it and start it again"
)


@dataclass(frozen=True)
class Check:
    """One thing looked at. todo: what to do when it is not ok."""

    what: str
    verdict: Verdict
    found: str
    todo: str = ""


def health(
    beats: Sequence[Heartbeat],
    digest: str | None,
    has_ended: Callable[[str], bool],
    by_celery: bool = True,
) -> Iterator[Check]:
    """Of daemon, workers and beat, then of what they wait for, then of their settings.

    digest: of the settings that hold here, as far as all processes share them. has_ended: whether a process
    has ended for certain. by_celery: see `Settings.by_celery`; without it there is no beat.
    """
    known = [b for b in beats if b.live or not has_ended(b.pulse.process)]
    gone = [b for b in replaced(known) if b.age > MISSED]
    known = [b for b in known if b not in gone]
    known = [b for b in known if not b.pulse.state.get("ending")]  # it finishes its last files
    for name, roles in NAMES.items():
        if name == "beat" and not by_celery:
            continue
        yield from _running(name, [b for b in known if b.pulse.role in roles], len(roles))
    live = [b for b in known if b.live]
    yield from _paused(live)
    if digest is not None:
        yield from _settings(live, digest)


def _running(name: str, beats: Sequence[Heartbeat], loops: int) -> Iterator[Check]:
    live = [b for b in beats if b.live]
    silent = [b for b in beats if not b.live]
    complete = len({b.pulse.role for b in live}) == loops
    gone = replaced(beats)
    for beat in silent:
        loop = f"the {beat.pulse.role} loop of " if loops > 1 else ""
        found = f"{loop}{beat.pulse.place} has not answered for {span(beat.age)}"
        if complete and beat in gone:
            todo = (
                "nothing, if its container or host was started again: another one is in its place"
            )
            yield Check(name, "warn", found, todo)
        elif complete and beat.age > MISSED:
            yield Check(
                name,
                "warn",
                found,
                "nothing, if the process is gone for good: another one is running",
            )
        else:
            yield Check(name, "fail", found, STUCK)
    for beat in live:
        if stopped := beat.pulse.state.get("stopped"):
            found = f"{stopped} processes of {beat.pulse.place} are stopped (SIGSTOP), and may hold files"
            yield Check(
                name, "fail", found, "`kill -CONT` them, or end them: other processes take over"
            )
    if complete:
        yield Check(name, "ok", _places(name, live))
    elif not silent:
        yield Check(name, "fail", "none is running", STARTED[name])
    if name == "beat" and len(live) > 1:
        found = f"{len(live)} run: each sends what one would"
        yield Check(name, "warn", found, "end all but one")


def replaced(beats: Sequence[Heartbeat]) -> list[Heartbeat]:
    """Silent loops in whose place another one was started since: of the same role and host name, in another
    container or after another boot, where whether the old process has ended cannot be known.

    One replaces one: a loop that is stopped beside others of its host is in nobody's way.
    """
    silent = sorted((b for b in beats if not b.live), key=lambda b: b.beat_at, reverse=True)
    free, found = list(beats), []
    for old in silent:  # the last first: it has the fewest to choose from
        for new in free:
            if _replaces(new, old):
                free.remove(new)
                found.append(old)
                break
    return found


def _replaces(new: Heartbeat, old: Heartbeat) -> bool:
    a, b = new.pulse, old.pulse
    same = (a.role, a.host) == (b.role, b.host)
    return same and a.namespace != b.namespace and new.started_at > old.beat_at


def _places(name: str, live: Sequence[Heartbeat]) -> str:
    hosts = sorted({f"{b.pulse.host}:{b.pulse.pid}" for b in live})
    shown = ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
    if name != "workers":
        return shown
    most = sum(int(b.pulse.state.get("most", 0)) for b in live)
    return (
        f"{shown}; {sum(int(b.pulse.state.get('children', 0)) for b in live)} of {most} processes"
    )


def _paused(live: Sequence[Heartbeat]) -> Iterator[Check]:
    for beat in live:
        if (paused := beat.pulse.paused) is not None:
            found = f"{beat.pulse.place} waits since {paused.get('since')}: "
            found += f"{paused.get('code')}: {paused.get('reason')}"
            todo = paused.get("do") or "see the reason; it goes on by itself when that is gone"
            yield Check("paused", "fail", found, str(todo))


def _settings(live: Sequence[Heartbeat], digest: str) -> Iterator[Check]:
    other = sorted({f"{b.pulse.host}:{b.pulse.pid}" for b in live if b.pulse.settings != digest})
    if other:
        found = f"{', '.join(other)}: running with other settings than those that hold here"
        todo = "start it again with these, or look here with its environment and sensorflow.toml"
        yield Check("running settings", "warn", found, todo)


def summary(checks: Sequence[Check]) -> str:
    """One line."""
    wrong = [c for c in checks if c.verdict == "fail"]
    wrong = wrong or [c for c in checks if c.verdict == "warn"]
    return "; ".join(f"{c.what}: {c.found}" for c in wrong) or "ok"


def span(seconds: float) -> str:
    """A time in words."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
