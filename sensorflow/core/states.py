"""The state machine of a file version: its states, and the table of allowed transitions.

The database enforces both with CHECK constraints, on ``files.state`` and on every row of ``file_events``.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The state of a file version. All states except PENDING and RUNNING are terminal."""

    PENDING = "pending"
    RUNNING = "running"
    LOADED = "loaded"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    UNDONE = "undone"


class Stage(StrEnum):
    """The stages in which a file is processed. Each stage is a Celery task of the same name."""

    VALIDATE = "validate"
    TRANSFORM = "transform"
    LOAD = "load"
    QUARANTINE = "quarantine"


WORK = (Stage.VALIDATE, Stage.TRANSFORM, Stage.LOAD)
"""The stages of a file without errors, in order."""

TRANSITIONS: frozenset[tuple[State, State]] = frozenset(
    {
        (State.PENDING, State.PENDING),  # published, or nacked without counting the attempt
        (State.PENDING, State.RUNNING),  # claimed
        (State.RUNNING, State.RUNNING),  # claimed by another worker after the lease expired
        (State.RUNNING, State.PENDING),  # stage done, retry, dead-lettered, lease expired
        (State.RUNNING, State.LOADED),
        (State.RUNNING, State.QUARANTINED),
        (State.PENDING, State.SUPERSEDED),
        (State.RUNNING, State.SUPERSEDED),
        (State.LOADED, State.SUPERSEDED),
        (State.QUARANTINED, State.SUPERSEDED),
        (State.QUARANTINED, State.PENDING),  # replay
        (State.LOADED, State.PENDING),  # replay: the old rows stay until the new ones replace them
        (State.LOADED, State.UNDONE),
        (State.PENDING, State.UNDONE),  # undone while it waits for a replay
        (State.UNDONE, State.PENDING),  # replay
        (State.UNDONE, State.SUPERSEDED),
        (
            State.SUPERSEDED,
            State.PENDING,
        ),  # a newer version that starts with the bytes of this one was undone
    }
)


def allowed(before: State, after: State) -> bool:
    return (before, after) in TRANSITIONS
