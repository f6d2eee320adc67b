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
    """All log events of sensorflow. level: the log level of the event. former: the name of the event in
    the previous version, if that name was different; otherwise None. number: the position of the event in
    this list, from 0."""

    level: Level
    former: str | None
    number: int

    def __new__(cls, name: str, level: Level, former: str | None = None) -> Self:
        event = str.__new__(cls, name)
        event._value_ = name
        event.level, event.former = level, former
        event.number = len(cls.__members__)
        return event

    DAEMON_STARTED = "daemon.started", "info"  # the daemon has started; the event lists its sources
    DAEMON_STOPPED = "daemon.stopped", "info"  # the daemon has ended normally
    FILE_REGISTERED = "file.registered", "info"  # a file was landed and has its ledger row
    # the file is not a regular file, or changed while it was read
    FILE_SKIPPED = "file.skipped", "debug"
    # the file cannot be read (permissions, a bad disk); the daemon tries again when the file changes
    FILE_UNREADABLE = "file.unreadable", "error"
    # the file stays in its folder, because another file has the same name in another Unicode normalization
    FILE_REFUSED = "file.refused", "error"
    # the file is registered, but cannot be moved out of its folder
    FILE_NOT_DISPOSED = "file.not_disposed", "error", "file.stuck"
    GATE_WAITING = "gate.waiting", "info"  # a complete file waits for its gate
    # a file with the bytes of a loaded file arrived, but its gate announces other bytes
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
    FILES_PUBLISHED = "files.published", "info"  # the messages of files were sent to the broker
    INTAKE_TAKEN = "intake.taken", "info"  # this daemon has acquired the intake lease of a source
    # another daemon has the intake lease; this daemon takes over when the lease expires
    INTAKE_STANDBY = "intake.standby", "warning"
    INTAKE_PAUSED = (
        "intake.paused",
        "error",
    )  # disk or database is unavailable; the intake resumes automatically
    # broker or database is unavailable; publishing resumes automatically
    PUBLISH_PAUSED = "publish.paused", "error"
    # inotify has lost events or has no free watches; the daemon scans the folders instead
    WATCH_DEGRADED = "watch.degraded", "warning"
    # somebody has paused a source; the intake of this daemon has stopped for it
    SOURCE_PAUSED = "source.paused", "info"
    # somebody drains a source; the intake of this daemon has stopped for it
    SOURCE_DRAINING = "source.draining", "info"
    # a source is active again; the intake of this daemon continues for it
    SOURCE_RESUMED = "source.resumed", "info"
    FILE_LOADED = "file.loaded", "info"  # a file is loaded; the event contains its row counts
    # the members of an archive are registered and pending
    ARCHIVE_UNPACKED = "archive.unpacked", "info"
    # a newer version replaced readings of older versions
    READINGS_REPLACED = "readings.replaced", "info"
    # a new version looks odd: a shifted clock, a renamed sensor, readings deleted outside its time span
    VERSION_NOTICED = "version.noticed", "warning"
    # a newer version does not contain some readings of an older version; these remain loaded
    READINGS_KEPT = "readings.kept", "info"
    FILE_RETRIED = (
        "file.retried",
        "warning",
    )  # a file failed and will be retried; the event has code, reason and remedy
    # a failure cannot be recorded in the ledger; the worker tries again until it is recorded
    WORK_PAUSED = "work.paused", "error"
    # a file has blocked a process of a worker for too long; the process is killed
    WORK_STUCK = "work.stuck", "error"
    # the host refuses memory, processes or threads; the worker tries again
    WORK_REFUSED = "work.refused", "error"
    # a process of a worker ended by itself or was killed; a new process replaces it
    WORK_ENDED = "work.ended", "error"
    # stuck processes cannot be detected; their leases still expire
    WATCHDOG_FAILED = "watchdog.failed", "error", "work.unwatched"
    # a file cannot be loaded, and will be quarantined
    FILE_DEAD_LETTERED = "file.dead_lettered", "warning", "file.condemned"
    FILE_QUARANTINED = (
        "file.quarantined",
        "warning",
    )  # a file is in quarantine; the event has the code
    LEASE_LOST = (
        "lease.lost",
        "warning",
    )  # another worker has claimed the file; nothing is committed
    # the reconciler published files again, because leases had expired or messages were missing
    RECONCILED = "reconciled", "warning", "swept"
    # a step of housekeeping failed; it runs again when it is next due
    HOUSEKEEPING_FAILED = "housekeeping.failed", "error"
    # a file has readings of months that are in TimescaleDB's columnstore, where loads take longer; once per
    # month and process, before the load
    COLUMNSTORE_ENTERED = "columnstore.entered", "info"
    # the aggregates are not refreshed, because the database is unavailable; this is retried
    GOLD_PAUSED = "gold.paused", "error"
    # a partition is sealed: its unique index is built, which proves that no reading exists twice
    PARTITION_SEALED = "partition.sealed", "info", "month.closed"
    # the reading index of a partition is built, because nothing is loaded into it any more
    PARTITION_INDEXED = "partition.indexed", "info"
    # a partition cannot be sealed, because readings exist twice; the event lists them
    PARTITION_DUPLICATES_FOUND = "partition.duplicates_found", "error", "month.doubled"
    # a message was rejected before it had an effect, because it is not from sensorflow
    MESSAGE_REFUSED = "message.refused", "error"
    # a remote control command of Celery was refused, because it would end a process that works on a file
    COMMAND_REFUSED = "command.refused", "warning"
    BROKER_REFUSED = "broker.refused", "warning"  # the broker is full or read-only; work continues
    # the connection to the broker failed with an error that Celery does not handle; the worker reconnects
    BROKER_LOST = "broker.lost", "error"
    # the connection was lost before a message was acknowledged; the ledger has the outcome of the file
    ACKNOWLEDGEMENT_FAILED = "acknowledgement.failed", "warning", "acknowledgement.dropped"
    # beat cannot save its schedule, but continues to run
    SCHEDULE_NOT_SAVED = "schedule.not_saved", "error", "beat.unkept"
    # the port of metrics_port cannot be opened; the process serves no metrics
    METRICS_UNAVAILABLE = "metrics.unavailable", "error"
    # a setting was given under its former name, which the next version will not accept
    SETTING_RENAMED = "setting.renamed", "warning"
    # spans of traces were not sent: the collector is unavailable, or the queue is full; work continues
    SPANS_LOST = "spans.lost", "warning"
    DEFECT = (
        "defect",
        "error",
    )  # an unexpected error, that is, a bug in sensorflow; the step is retried


_counts: array[int] | memoryview[int] = array("Q", [0] * len(Event))
"""How often this process has emitted each event. The index is `Event.number`."""


def count_into(counts: array[int] | memoryview[int]) -> None:
    """From now on, count the events of this process in `counts`. counts: an array with at least
    `len(Event)` elements; see `_counts`."""
    global _counts
    _counts = counts


def counted() -> list[int]:
    """Returns how often this process has emitted each event, in the order of `Event`. After `count_into`,
    returns the counts in that array."""
    return list(_counts)


class _Lines:
    """A factory of loggers that print to stderr. All of its loggers share one lock, which structlog
    creates for the stream."""

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
    """Configure the log of a process. Then log a warning for each key that the settings contain under a
    former name."""
    configure(settings.log_level)
    for found in settings.former_keys:
        emit(Event.SETTING_RENAMED, where=found.where, former=found.former, key=found.key)


def escape_event(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A processor of structlog that escapes non-printable characters for a terminal. It is not used for
    JSON lines, because they are ASCII."""
    return {name: escape_all(value) for name, value in event.items()}


def emit(event: Event, level: Level | None = None, /, **fields: Any) -> None:
    """Write an event to the log. No other function writes to the log. If the event had a different name in
    the previous version, the line also has the field `former_event` with that name.

    level: the level to use instead of the event's own level; None for the event's own level. fields: the
    fields of the log line; `exc_info` (True or an exception) adds the traceback.
    """
    _counts[event.number] += 1
    write = getattr(structlog.get_logger(), level or event.level)
    if event.former is not None:
        fields["former_event"] = event.former
    write(event, **fields)
