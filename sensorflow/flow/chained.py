"""What a part of a growing file needs from the parts before it: header, repeated readings, and last
readings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO

import pyarrow as pa

from sensorflow.core.chained import Chained, Numbering
from sensorflow.core.growth import HEADER, Joined, Part
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.quality import Watch
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.flow.segments import segments
from sensorflow.flow.work import Job
from sensorflow.ports.layers import Unreadable

LOOK_BACK = 16
"""Number of preceding parts searched for the last readings, for rules that compare with earlier readings.
"""


def up_to(job: Job, part: Part, last: BinaryIO) -> BinaryIO:
    """Returns a growing file up to the end of a part, as a stream. last: the part's landed bytes."""
    return Joined(_before(job, part), last, part.byte_offset)  # type: ignore[return-value]


def _before(job: Job, part: Part) -> Iterator[BinaryIO]:
    for segment in segments(job.world.ledger, part.root, part.byte_offset):
        if segment.byte_offset >= HEADER:
            raise Permanent(
                Code.UNREADABLE,
                f"the first {HEADER:,} bytes of the growing file hold no header",
                do="correct skip_until, skip or header in the profile, then replay",
            )
        yield job.world.landing.open(segment.landing)


def numbered(job: Job, seen: Numbering) -> Numbering:
    """Returns a deduplicator for a file. For a growing file, it covers all parts."""
    part = job.claim.part
    if part is None or part.ts_max is None:
        return seen
    beside = partial(job.world.ledger.rows_beside, part, job.claim.file_id)
    until = (part.ts_max - _EPOCH) // timedelta(microseconds=1)
    return Chained(seen, job.identity, until, beside)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def watch(job: Job) -> Watch:
    """Returns a quality flagger that has already processed the last readings of the preceding parts."""
    made, part = Watch(job.profile.rules), job.claim.part
    if part is None or made.idle or part.follows is None:
        return made
    for batch in _bronze(job, part):
        made.flags(batch)
    return made


def _bronze(job: Job, part: Part) -> Iterator[pa.RecordBatch]:
    for s in job.world.ledger.segments_before(part, LOOK_BACK):
        file = LayerFile(job.claim.source, s.sensor_type, s.received_at, s.file_id, s.version)
        with suppress(Transient, Unreadable):  # it has expired, or was never loaded
            yield from job.world.lake.read(Layer.BRONZE, file)
