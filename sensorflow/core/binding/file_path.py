"""The name and path of a file, which a profile may use to find the sensor or the time."""

from __future__ import annotations

from dataclasses import dataclass

from sensorflow.core.names import composed


@dataclass(frozen=True)
class FilePath:
    """A file's name, and its path below the source's folder."""

    file_name: str = ""
    path: str = ""

    @classmethod
    def of(cls, key: bytes) -> FilePath:
        """Create a `FilePath` from a file's key, that is, its path below the source's folder as file system
        bytes."""
        path = composed(key.decode("utf-8", "backslashreplace"))
        return cls(path.rsplit("/", 1)[-1], path)
