"""Finds complete files of a drop folder by a stability window."""

from __future__ import annotations

from sensorflow.core.stability import Observation, Stat, is_stable


class StabilityWindow:
    """Decides which files are complete because they were unchanged for the stability window. Used for files
    whose closing is not reported by a notification. Records when each incomplete file was first seen in its
    present state.

    Each source has one instance.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[bytes, Observation] = {}

    def is_complete(self, key: bytes, stat: Stat, clock: float) -> bool:
        """Whether `key` was unchanged for the stability window. clock: monotonic seconds."""
        done, observation = is_stable(self._seen.get(key), stat, clock, self._seconds)
        if done:
            self._seen.pop(key, None)
        else:
            self._seen[key] = observation
        return done

    def restart(self, key: bytes, stat: Stat, clock: float) -> None:
        """Restart the stability window of `key`."""
        self._seen[key] = Observation(stat, clock)

    def forget(self, key: bytes) -> None:
        self._seen.pop(key, None)

    def __contains__(self, key: object) -> bool:
        return key in self._seen

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def waiting(self) -> list[bytes]:
        return list(self._seen)
