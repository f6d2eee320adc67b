"""The log destination of the stack's programs."""

from enum import StrEnum


class LogTarget(StrEnum):
    FILES = "files"
    STDOUT = "stdout"
    JOURNAL = "journal"

    @property
    def told(self) -> str:
        return {"files": "data/logs", "stdout": "above", "journal": "the journal"}[self]
