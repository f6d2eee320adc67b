"""Defines where the processes of the stack write their logs."""

from enum import StrEnum


class LogTarget(StrEnum):
    """Where the processes of the stack write their logs: to files in data/logs, to the stdout of
    `sensorflow up`, or to the systemd journal."""

    FILES = "files"
    STDOUT = "stdout"
    JOURNAL = "journal"

    @property
    def location(self) -> str:
        """The location of the logs, for messages."""
        return {"files": "data/logs", "stdout": "the output above", "journal": "the journal"}[self]
