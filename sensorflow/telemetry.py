"""Logs: one structured line an event. The events are a closed list; ids are bound once."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from typing import Any, Literal, Self

import structlog

from sensorflow.shown import shown_in
from sensorflow.steady import Steady

Level = Literal["debug", "info", "warning", "error"]


class Event(StrEnum):
    """Everything that sensorflow reports of itself, each with the level that its log lines have."""

    level: Level

    def __new__(cls, name: str, level: Level) -> Self:
        made = str.__new__(cls, name)
        made._value_ = name
        made.level = level
        return made

    DAEMON_STARTED = "daemon.started", "info"  # with its sources
    DAEMON_STOPPED = "daemon.stopped", "info"  # normally
    FILE_REGISTERED = "file.registered", "info"  # a file was landed and has its ledger row
    FILE_SKIPPED = "file.skipped", "debug"  # not a regular file, or it changed while it was read
    # permissions, a bad disk; tried again when the file changes
    FILE_UNREADABLE = "file.unreadable", "error"
    # another file in the folder has its name; it stays there
    FILE_REFUSED = "file.refused", "error"
    FILE_STUCK = "file.stuck", "error"  # registered, but it cannot be moved out of its folder
    GATE_WAITING = "gate.waiting", "info"  # a file is complete, and waits until its sender says so
    # loaded bytes arrived again, with a gate for other bytes
    GATE_DIFFERS = "gate.differs", "warning"
    GATE_OVERDUE = "gate.overdue", "warning"  # a gate has not arrived within overdue_after
    SOURCE_AWAY = "source.away", "error"  # a drop folder cannot be read; other sources continue
    # a file was seen, and disappeared before it was landed: it is lost
    FILE_VANISHED = "file.vanished", "warning"
    # a growing file was truncated, rewritten or rotated, and is read from its start
    FILE_REPLACED = "file.replaced", "warning"
    FILES_PUBLISHED = "files.published", "info"  # messages were sent to the broker
    INTAKE_TAKEN = "intake.taken", "info"  # this daemon takes in the files of a source from now on
    # another daemon takes them in; this one takes over when its lease ends
    INTAKE_STANDBY = "intake.standby", "warning"
    INTAKE_PAUSED = "intake.paused", "error"  # disk or database is unavailable; resumes by itself
    # broker or database is unavailable; resumes by itself
    PUBLISH_PAUSED = "publish.paused", "error"
    # inotify lost events or has no watches: rescanning
    WATCH_DEGRADED = "watch.degraded", "warning"
    FILE_LOADED = "file.loaded", "info"  # with its row counts
    # its members are registered, and wait to be loaded
    ARCHIVE_UNPACKED = "archive.unpacked", "info"
    # a newer version states readings of older ones again
    READINGS_REPLACED = "readings.replaced", "info"
    # a shifted clock, a renamed sensor, readings deleted outside its span
    VERSION_NOTICED = "version.noticed", "warning"
    # a newer version does not state all readings of an older one
    READINGS_KEPT = "readings.kept", "info"
    FILE_RETRIED = "file.retried", "warning"  # after a failure, with its code
    # a failure cannot be recorded; retried until it can
    WORK_PAUSED = "work.paused", "error"
    # a worker's process is killed: a file has blocked it for too long
    WORK_STUCK = "work.stuck", "error"
    # the host refuses memory, processes or threads; retried
    WORK_REFUSED = "work.refused", "error"
    # a worker's process ended by itself, or was killed; replaced
    WORK_ENDED = "work.ended", "error"
    # stuck processes cannot be found; leases end all the same
    WORK_UNWATCHED = "work.unwatched", "error"
    FILE_CONDEMNED = "file.condemned", "warning"  # it failed for good, and will be quarantined
    FILE_QUARANTINED = "file.quarantined", "warning"  # with its code
    LEASE_LOST = "lease.lost", "warning"  # another worker has the file; nothing is committed
    # files were published again: leases had ended, or messages were missing
    SWEPT = "swept", "warning"
    # a step of housekeeping failed; repeated when it is due again
    HOUSEKEEPING_FAILED = "housekeeping.failed", "error"
    # its unique index is built: no reading exists twice
    MONTH_CLOSED = "month.closed", "info"
    # it cannot be closed: readings exist twice, and are named
    MONTH_DOUBLED = "month.doubled", "error"
    # it is not sensorflow's; rejected before it has an effect
    MESSAGE_REFUSED = "message.refused", "error"
    # by remote control, which may not end a working process
    COMMAND_REFUSED = "command.refused", "warning"
    BROKER_REFUSED = "broker.refused", "warning"  # the broker is full or read-only; work continues
    # by an error that Celery does not expect; reconnecting
    BROKER_LOST = "broker.lost", "error"
    # its connection was lost; the ledger has the outcome
    ACK_DROPPED = "acknowledgement.dropped", "warning"
    BEAT_UNKEPT = "beat.unkept", "error"  # its schedule cannot be saved; it continues
    DEFECT = "defect", "error"  # a defect of sensorflow; retried


class _Lines:
    """Makes loggers that print to stderr. They share a lock, which structlog has for each stream."""

    def __init__(self) -> None:
        self._stream: Any = sys.stderr
        self._file: Any = self._stream

    def use(self, stream: Any) -> None:
        self._stream, self._file = stream, Steady(stream)

    def anew(self) -> None:
        """In a child: another thread may have been logging as it was forked, and have the lock for ever."""
        self.use(self._stream)

    def __call__(self, *_: Any) -> structlog.PrintLogger:
        return structlog.PrintLogger(self._file)


_LINES = _Lines()
os.register_at_fork(after_in_child=_LINES.anew)


def configure(level: str = "INFO") -> None:
    """Send logs to stderr: for people on a terminal, as JSON lines elsewhere."""
    terminal = sys.stderr.isatty()
    _LINES.use(sys.stderr)
    # tracebacks without the frames' variables: they hold URLs with passwords, and data
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = plain if terminal else structlog.processors.JSONRenderer()
    trace = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([harmless] if terminal else [structlog.processors.ExceptionRenderer(trace)]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=_LINES,
        cache_logger_on_first_use=False,
    )


def harmless(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """For a terminal: JSON lines are ASCII anyway."""
    return {name: shown_in(value) for name, value in event.items()}


def emit(event: Event, level: Level | None = None, /, **fields: Any) -> None:
    """Report an event, with what is known of it. Nothing else writes to the log.

    fields: ids and facts; `exc_info`, True or an exception, adds the traceback. level: in place of the
    event's own, where it is better or worse news than usual.
    """
    write = getattr(structlog.get_logger(), level or event.level)
    write(event, **fields)
