"""Back off from sources whose storage is unavailable or whose feed is defective, without delaying the other
sources."""

from __future__ import annotations

from dataclasses import dataclass

from sensorflow.core.retry import backoff

LONGEST = 15.0
"""Maximum seconds of a source's backoff."""
REPORTS = 60.0
"""Minimum seconds between reports about one source."""


@dataclass
class _Outage:
    tries: int
    until: float
    reported: float
    defect: str = ""


class Outages:
    """The sources to back off from. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._outages: dict[str, _Outage] = {}

    def is_left_alone(self, source: str, now: float) -> bool:
        found = self._outages.get(source)
        return found is not None and now < found.until

    def failed(self, source: str, now: float, defect: str = "") -> bool:
        """Record a failure and back off from the source. Each failure in a row lengthens the backoff.
        Returns whether to report the failure.

        defect: a description of the defect if the feed is to blame, else empty.
        """
        found = self._outages.setdefault(source, _Outage(0, now, now - REPORTS))
        found.defect = defect
        if now >= found.until:  # otherwise several calls failed at the same time
            found.tries = 1 if now >= found.until + REPORTS else found.tries + 1
            found.until = now + backoff(found.tries, 0.5, cap=LONGEST)
        if now < found.reported + REPORTS:
            return False
        found.reported = now
        return True

    def defects(self, now: float) -> dict[str, str]:
        """Returns the defects of the feeds that have failed recently, by source."""
        broken = {name: found for name, found in self._outages.items() if found.defect}
        return {name: found.defect for name, found in broken.items() if now < found.until + LONGEST}
