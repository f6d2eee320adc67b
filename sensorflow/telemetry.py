"""Logs: one structured line an event. The events are a closed list; ids are bound once."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from typing import Any

import structlog

from sensorflow.shown import shown_in
from sensorflow.steady import Steady


class Event(StrEnum):
    """Everything that sensorflow says in its logs."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_STOPPED = "daemon.stopped"
    FILE_REGISTERED = "file.registered"  # a file was landed and has its ledger row
    FILE_SKIPPED = "file.skipped"  # not a regular file, or it changed while it was read
    FILE_UNREADABLE = (
        "file.unreadable"  # permissions, a bad disk; tried again when the file changes
    )
    FILE_REFUSED = "file.refused"  # left in its folder: another file there has its name
    FILE_STUCK = "file.stuck"  # registered, but it cannot be moved out of its folder
    GATE_WAITING = "gate.waiting"  # a file is complete, and left until its sender says so
    GATE_DIFFERS = "gate.differs"  # bytes that are loaded already came again, with a gate of others
    GATE_OVERDUE = "gate.overdue"  # for longer than overdue_after
    SOURCE_AWAY = "source.away"  # a drop folder cannot be read; the others go on
    FILE_VANISHED = (
        "file.vanished"  # it was seen, and was gone or no file before it was landed: a loss
    )
    FILE_REPLACED = (
        "file.replaced"  # a growing file was truncated, rewritten or rotated: begun anew
    )
    FILES_PUBLISHED = "files.published"
    INTAKE_TAKEN = "intake.taken"  # this daemon takes the files of a source in from now on
    INTAKE_STANDBY = (
        "intake.standby"  # another daemon does; this one takes over when its lease ends
    )
    INTAKE_PAUSED = "intake.paused"  # disk or database away; resumes by itself
    PUBLISH_PAUSED = "publish.paused"  # broker or database away; resumes by itself
    WATCH_DEGRADED = "watch.degraded"  # inotify lost events or has no watches: rescanning
    FILE_LOADED = "file.loaded"
    ARCHIVE_UNPACKED = "archive.unpacked"  # its members are registered, and wait to be loaded
    READINGS_REPLACED = "readings.replaced"  # a newer version states readings of older ones again
    VERSION_NOTICED = (
        "version.noticed"  # a shifted clock, a renamed sensor, readings deleted outside its span
    )
    READINGS_KEPT = "readings.kept"  # a newer version does not state all readings of an older one
    FILE_RETRIED = "file.retried"
    WORK_PAUSED = "work.paused"  # not even a failure can be written down; tried until it can
    WORK_STUCK = "work.stuck"  # a child of a worker is ended: a file has it for too long
    WORK_REFUSED = "work.refused"  # the host refuses memory, processes or threads: tried again
    WORK_UNWATCHED = "work.unwatched"  # that cannot be seen to; leases end all the same
    FILE_CONDEMNED = "file.condemned"  # on its way to quarantine
    FILE_QUARANTINED = "file.quarantined"
    LEASE_LOST = "lease.lost"
    SWEPT = "swept"  # leases had ended, or messages were missing
    MONTH_CLOSED = "month.closed"  # its unique index is built: no reading of it is there twice
    MONTH_DOUBLED = "month.doubled"  # it cannot be: readings are there twice, and named here
    MESSAGE_REFUSED = "message.refused"  # not one of ours; rejected before anything is done with it
    COMMAND_REFUSED = "command.refused"  # by remote control, which may not end what works on a file
    BROKER_REFUSED = "broker.refused"  # the broker is full or read-only; work goes on
    BROKER_LOST = "broker.lost"  # by an error that Celery does not expect; connected to again
    ACK_DROPPED = "acknowledgement.dropped"  # of a lost connection: the ledger has the outcome
    BEAT_UNKEPT = "beat.unkept"  # its times cannot be written down: it goes on
    DEFECT = "defect"  # something that should not happen; tried again


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


def log() -> Any:
    return structlog.get_logger()
