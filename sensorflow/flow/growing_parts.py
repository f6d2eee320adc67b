"""Reads the data of the previous parts of a growing file that a part needs: the header, the readings that
the part may repeat, and the last readings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO

import pyarrow as pa

from sensorflow.core.cross_part import CrossPartDeduplicator, OrdinalAssigner
from sensorflow.core.growth import HEADER, Joined, Part
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.quality import QualityFlagger
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.segments import segments
from sensorflow.flow.verified import open_verified
from sensorflow.ports.layers import Unreadable

LOOK_BACK_PARTS = 16
"""Number of preceding parts that are searched for the last readings, with which some quality rules compare
a reading."""


def open_up_to(file_task: FileTask, part: Part, last: BinaryIO) -> BinaryIO:
    """Returns a stream of a growing file from its start to the end of a part. last: a stream of the part's
    landed bytes."""
    return Joined(_before(file_task, part), last, part.byte_offset)  # type: ignore[return-value]


def _before(file_task: FileTask, part: Part) -> Iterator[BinaryIO]:
    for segment in segments(file_task.services.ledger, part.root, part.byte_offset):
        if segment.byte_offset >= HEADER:
            raise Permanent(
                Code.UNREADABLE,
                f"the first {HEADER:,} bytes of the growing file contain no header",
                do="correct skip_until, skip or header in the profile, then replay",
            )
        landing = file_task.services.landing
        with open_verified(landing, segment.landing, segment.size, segment.sha256) as stream:
            yield stream


def deduplicator_of(file_task: FileTask, seen: OrdinalAssigner) -> OrdinalAssigner:
    """Returns the deduplicator of a file. seen: the deduplicator for the readings in these bytes. For a
    part of a growing file, the result also finds readings that other parts contain."""
    part = file_task.claim.part
    if part is None or part.ts_max is None:
        return seen
    rows_in_other_parts = partial(
        file_task.services.ledger.rows_in_other_parts, part, file_task.claim.file_id
    )
    until = (part.ts_max - _EPOCH) // timedelta(microseconds=1)
    return CrossPartDeduplicator(seen, file_task.identity, until, rows_in_other_parts)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def quality_flagger_of(file_task: FileTask) -> QualityFlagger:
    """Returns the quality flagger of a file. For a part of a growing file, it has already processed the
    last readings of the preceding parts."""
    flagger, part = QualityFlagger(file_task.profile.rules), file_task.claim.part
    if part is None or flagger.is_idle or part.follows is None:
        return flagger
    for batch in _bronze(file_task, part):
        flagger.flags(batch)
    return flagger


def _bronze(file_task: FileTask, part: Part) -> Iterator[pa.RecordBatch]:
    for s in file_task.services.ledger.segments_before(part, LOOK_BACK_PARTS):
        file = LayerFile(file_task.claim.source, s.sensor_type, s.received_at, s.file_id, s.version)
        with suppress(Transient, Unreadable):  # it has expired, or was never loaded
            yield from file_task.services.lake.read(Layer.BRONZE, file)
