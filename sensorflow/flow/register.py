"""Register landed files: one ledger row per version of a file's content."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sensorflow import tracing
from sensorflow.core.arrival import Arrival, Landed, Lane
from sensorflow.core.gates.announced import Announcement
from sensorflow.core.growth import Growth, Increment
from sensorflow.flow import spans
from sensorflow.ports.feed import Candidate
from sensorflow.ports.intake import Intake, IntakeLease, OnChange, Registration
from sensorflow.settings import Settings


@dataclass(frozen=True)
class Found:
    """A landed file. candidate: the file in the state in which it was read. announcement: the announcement
    in its gate; None if no gate announced the file.

    increment: for a growing file, the part that was landed; None for a complete file.
    """

    candidate: Candidate
    landed: Landed
    discovered_at: datetime
    landed_at: datetime
    lane: Lane = Lane.LIVE
    announcement: Announcement | None = None
    increment: Increment | None = None

    @property
    def key(self) -> bytes:
        return self.candidate.key


def register(ledger: Intake, settings: Settings, file: Found) -> Registration:
    """Register a landed file. Known bytes are registered as an alias, different bytes as a new version."""
    [done] = register_many(ledger, settings, file.candidate.source, [file])
    assert done is not None, "only an increment may be known already"
    return done


def register_many(
    ledger: Intake,
    settings: Settings,
    source: str,
    files: Sequence[Found],
    lease: IntakeLease | None = None,
) -> Sequence[Registration | None]:
    """Register landed files of one source, or parts of its growing files, in one transaction. lease: see
    `Intake.register_many`. The result is None for a part that another process has already taken in."""
    arrivals, began = arrivals_of(settings, source, files), time.time_ns()
    increments = [file.increment for file in files if file.increment is not None]
    done: Sequence[Registration | None]
    if increments:
        growths = [Growth(*pair) for pair in zip(arrivals, increments, strict=True)]
        done = ledger.grow(growths, lease)
    else:
        rules = settings.sources[source]
        matters = settings.profile_of(rules).name_matters
        done = ledger.register_many(arrivals, OnChange(rules.on_change), matters, lease)
    return spans.registered(arrivals, done, began) if tracing.is_on() else done


def arrivals_of(settings: Settings, source: str, files: Sequence[Found]) -> list[Arrival]:
    """Returns the arrivals to register for landed files of one source."""
    rules = settings.sources[source]
    profile = settings.profile_of(rules)
    return [
        Arrival(
            source=source,
            key=file.key,
            landed=file.landed,
            mtime_ns=file.candidate.modified_ns,
            fingerprint=file.candidate.revision,
            sensor_type=profile.sensor_type or rules.profile,
            discovered_at=file.discovered_at,
            landed_at=file.landed_at,
            lane=file.lane,
            announcement=file.announcement,
            trace_id=tracing.new_trace_id(file.discovered_at),
        )
        for file in files
    ]
