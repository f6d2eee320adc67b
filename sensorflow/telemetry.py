"""Writes the log: one structured line per event. `Event` lists all events."""

from __future__ import annotations

import logging
import os
import sys
from array import array
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self

import structlog

from sensorflow.escaping import escape_all
from sensorflow.lossy_stream import LossyStream

if TYPE_CHECKING:
    from sensorflow.settings import Settings

Level = Literal["debug", "info", "warning", "error"]


class Event(StrEnum):
    """All log events of sensorflow, each with its log level. former: its name in the previous version.
    number: its place in the list."""

    level: Level
    former: str | None
    number: int

    def __new__(cls, name: str, level: Level, former: str | None = None) -> Self:
        made = str.__new__(cls, name)
        made._value_ = name
        made.level, made.former = level, former
        made.number = len(cls.__members__)
        return made

    DAEMON_STARTED = "daemon.started", "info"  # with its sources
    DAEMON_STOPPED = "daemon.stopped", "info"  # normally
    FILE_REGISTERED = "file.registered", "info"  # a file was landed and has its ledger row
    FILE_SKIPPED = "file.skipped", "debug"  # not a regular file, or changed while it was read
    # the file cannot be read (permissions, a bad disk); retried when the file changes
    FILE_UNREADABLE = "file.unreadable", "error"
    # another file in the folder has the same name in another encoding; it stays there
    FILE_REFUSED = "file.refused", "error"
    # registered, but it cannot be moved out of its folder
    FILE_NOT_DISPOSED = "file.not_disposed", "error", "file.stuck"
    GATE_WAITING = "gate.waiting", "info"  # a complete file waits for its gate
    # loaded bytes arrived again, with a gate for other bytes
    GATE_MISMATCH = "gate.mismatch", "warning"
    GATE_OVERDUE = "gate.overdue", "warning"  # a gate has not arrived within overdue_after
    # a drop folder cannot be read; other sources continue
    SOURCE_UNAVAILABLE = "source.unavailable", "error", "source.away"
    # a file disappeared after it was seen and before it was landed: it is lost
    FILE_VANISHED = "file.vanished", "warning"
    # a growing file was truncated, rewritten or rotated, and is read from its start
    FILE_REPLACED = "file.replaced", "warning"
    # a growing file was created and rotated between two checks; it is not ingested
    FILE_MISSED = "file.missed", "error"
    FILES_PUBLISHED = "files.published", "info"  # messages were sent to the broker
    INTAKE_TAKEN = "intake.taken", "info"  # this daemon has acquired the intake lease of a source
    # another daemon has the intake lease; this daemon takes over when the lease expires
    INTAKE_STANDBY = "intake.standby", "warning"
    INTAKE_PAUSED = (
        "intake.paused",
        "error",
    )  # disk or database is unavailable; resumes automatically
    # broker or database is unavailable; resumes automatically
    PUBLISH_PAUSED = "publish.paused", "error"
    # inotify lost events or has no watches: rescanning
    WATCH_DEGRADED = "watch.degraded", "warning"
    FILE_LOADED = "file.loaded", "info"  # with its row counts
    # the members of an archive are registered and pending
    ARCHIVE_UNPACKED = "archive.unpacked", "info"
    # a newer version replaced readings of older versions
    READINGS_REPLACED = "readings.replaced", "info"
    # a new version looks odd: a shifted clock, a renamed sensor, readings deleted outside its time span
    VERSION_NOTICED = "version.noticed", "warning"
    # a newer version does not contain some readings of an older version; these remain loaded
    READINGS_KEPT = "readings.kept", "info"
    FILE_RETRIED = "file.retried", "warning"  # after a failure, with its code
    # a failure cannot be recorded in the ledger; retried until it is recorded
    WORK_PAUSED = "work.paused", "error"
    # a worker's process is killed: a file has blocked it for too long
    WORK_STUCK = "work.stuck", "error"
    # the host refuses memory, processes or threads; retried
    WORK_REFUSED = "work.refused", "error"
    # a worker's process ended by itself, or was killed; replaced
    WORK_ENDED = "work.ended", "error"
    # stuck processes cannot be detected; their leases still expire
    WATCHDOG_FAILED = "watchdog.failed", "error", "work.unwatched"
    # failed permanently, to be quarantined
    FILE_DEAD_LETTERED = "file.dead_lettered", "warning", "file.condemned"
    FILE_QUARANTINED = "file.quarantined", "warning"  # with its code
    LEASE_LOST = "lease.lost", "warning"  # another worker has the file; nothing is committed
    # the reconciler published files again: leases had expired, or messages were missing
    RECONCILED = "reconciled", "warning", "swept"
    # a step of housekeeping failed; it runs again when it is next due
    HOUSEKEEPING_FAILED = "housekeeping.failed", "error"
    # a month is sealed: its unique index is built, so no reading exists twice
    PARTITION_SEALED = "partition.sealed", "info", "month.closed"
    # a month cannot be sealed: readings exist twice, and are listed
    PARTITION_DUPLICATES_FOUND = "partition.duplicates_found", "error", "month.doubled"
    # a message is not from sensorflow; rejected before it has an effect
    MESSAGE_REFUSED = "message.refused", "error"
    # a Celery remote control command was refused: it may not end a working process
    COMMAND_REFUSED = "command.refused", "warning"
    BROKER_REFUSED = "broker.refused", "warning"  # the broker is full or read-only; work continues
    # the connection failed with an error that Celery does not expect; reconnecting
    BROKER_LOST = "broker.lost", "error"
    # the connection was lost before the acknowledgement; the ledger has the outcome
    ACKNOWLEDGEMENT_FAILED = "acknowledgement.failed", "warning", "acknowledgement.dropped"
    # beat cannot save its schedule; it continues
    SCHEDULE_NOT_SAVED = "schedule.not_saved", "error", "beat.unkept"
    # the port of metrics_port cannot be opened; the process works without it
    METRICS_UNAVAILABLE = "metrics.unavailable", "error"
    # a key of the settings has another name now; the next version will refuse the former one
    SETTING_RENAMED = "setting.renamed", "warning"
    DEFECT = "defect", "error"  # a defect in sensorflow; retried


_counts: array[int] | memoryview[int] = array("Q", [0] * len(Event))
"""The number of emitted events, by `Event.number`."""


def count_into(counts: array[int] | memoryview[int]) -> None:
    """Count the events of this process there from now on. counts: at least `len(Event)` places."""
    global _counts
    _counts = counts


def counted() -> list[int]:
    """Returns how many of each event this process has emitted since its start or `count_into`."""
    return list(_counts)


class _Lines:
    """A factory of loggers that print to stderr. The loggers share structlog's lock of the stream."""

    def __init__(self) -> None:
        self._stream: Any = sys.stderr
        self._file: Any = self._stream

    def use(self, stream: Any) -> None:
        self._stream, self._file = stream, LossyStream(stream)

    def reopen_after_fork(self) -> None:
        """Use a new lock in a forked child, because another thread may have held the old lock during the
        fork."""
        self.use(self._stream)

    def __call__(self, *_: Any) -> structlog.PrintLogger:
        return structlog.PrintLogger(self._file)


_LINES = _Lines()
os.register_at_fork(after_in_child=_LINES.reopen_after_fork)


def configure(level: str = "INFO") -> None:
    """Send logs to stderr: readable text if stderr is a terminal, otherwise JSON lines."""
    terminal = sys.stderr.isatty()
    _LINES.use(sys.stderr)
    # no local variables in tracebacks, because they contain URLs with passwords, and data
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = plain if terminal else structlog.processors.JSONRenderer()
    trace = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([escape_event] if terminal else [structlog.processors.ExceptionRenderer(trace)]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=_LINES,
        cache_logger_on_first_use=False,
    )


def configure_for(settings: Settings) -> None:
    """Configure the log of a process, and log the keys that its settings give by former names."""
    configure(settings.log_level)
    for found in settings.former_keys:
        emit(Event.SETTING_RENAMED, where=found.where, former=found.former, key=found.key)


def escape_event(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Escape non-printable characters for a terminal. JSON lines need no escaping, because they are
    ASCII."""
    return {name: escape_all(value) for name, value in event.items()}


def emit(event: Event, level: Level | None = None, /, **fields: Any) -> None:
    """Log an event. No other function writes to the log. A renamed event has its former name in the field
    `former_event`.

    fields: the fields of the log line; `exc_info` (True or an exception) adds the traceback. level:
    overrides the level of the event.
    """
    _counts[event.number] += 1
    write = getattr(structlog.get_logger(), level or event.level)
    if event.former is not None:
        fields["former_event"] = event.former
    write(event, **fields)
