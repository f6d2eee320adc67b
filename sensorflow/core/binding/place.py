"""What is known of a file beside its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from sensorflow.core.names import composed


@dataclass(frozen=True)
class Place:
    """What the file's surroundings tell: its name, and its path below the source's folder."""

    file_name: str = ""
    path: str = ""

    @classmethod
    def of(cls, key: bytes) -> Place:
        """key: the path below the source's folder, as the file system has it."""
        path = composed(key.decode("utf-8", "backslashreplace"))
        return cls(path.rsplit("/", 1)[-1], path)
