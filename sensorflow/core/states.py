"""The life of a file: one enum and one table of allowed transitions.

The database repeats both as CHECKs, on ``files.state`` and on every row of ``file_events``.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a version of a file stands. PENDING and RUNNING are not terminal."""

    PENDING = "pending"
    RUNNING = "running"
    LOADED = "loaded"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    UNDONE = "undone"


class Stage(StrEnum):
    """The step that a pending or running file is at; each is a Celery task of the same name."""

    VALIDATE = "validate"
    TRANSFORM = "transform"
    LOAD = "load"
    QUARANTINE = "quarantine"


WORK = (Stage.VALIDATE, Stage.TRANSFORM, Stage.LOAD)
"""The stages of a healthy file, in order."""

TRANSITIONS: frozenset[tuple[State, State]] = frozenset(
    {
        (State.PENDING, State.PENDING),  # published (again), attempts given back
        (State.PENDING, State.RUNNING),  # claimed
        (State.RUNNING, State.RUNNING),  # an expired lease claimed by another worker
        (State.RUNNING, State.PENDING),  # stage done, retry, condemned, lease expired
        (State.RUNNING, State.LOADED),
        (State.RUNNING, State.QUARANTINED),
        (State.PENDING, State.SUPERSEDED),
        (State.RUNNING, State.SUPERSEDED),
        (State.LOADED, State.SUPERSEDED),
        (State.QUARANTINED, State.SUPERSEDED),
        (State.QUARANTINED, State.PENDING),  # replay
        (State.LOADED, State.PENDING),  # replay: its rows stay until the new ones replace them
        (State.LOADED, State.UNDONE),
        (State.PENDING, State.UNDONE),  # its rows of an earlier load are there while it waits
        (State.UNDONE, State.PENDING),  # replay
        (State.UNDONE, State.SUPERSEDED),
        (State.SUPERSEDED, State.PENDING),  # the version that begins with its bytes was undone
    }
)


def allowed(before: State, after: State) -> bool:
    return (before, after) in TRANSITIONS
