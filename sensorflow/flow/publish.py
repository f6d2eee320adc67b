"""Messages for the files that are due: each its own, small new ones a few together. The ledger keeps what
the broker has no room for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from sensorflow import crash
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage
from sensorflow.ports import Ledger, Queue
from sensorflow.settings import Limits

BATCH = 400
PARTS = 4
"""Messages that small files which are due at a time are spread over, at least: other workers want some."""
SMALL = 256 << 10
"""Bytes; a file as large as this is worth a message and a transaction of its own."""
SIZE = 4 << 20
"""Bytes of all files of a message."""


def publish(ledger: Ledger, queue: Queue, limits: Limits) -> int:
    """Publish all that is due, within the limits; live files before those of the backfill lane.

    `published_at` is set after the broker's confirm; a crash between the two sends a message twice,
    which the claim makes harmless. Returns how many were sent; raises Transient when the broker or
    the database is away, what was sent until then being recorded.
    """
    total = 0
    with ledger.publishing() as mine:
        while mine and (due := _due(ledger, limits)):
            sent: list[Waiting] = []
            try:
                for first, *others in _messages(due, limits.inline_below):
                    crash.point(crash.Point.PUBLISH)
                    queue.publish(first, _inline(first, limits.inline_below), others)
                    crash.point(crash.Point.SENT)
                    sent += (first, *(replace(o, sent_with=first.file_id) for o in others))
            finally:
                if sent:
                    ledger.published(sent)
                    crash.point(crash.Point.PUBLISHED)
            total += len(sent)
    return total


def _inline(waiting: Waiting, below: int) -> bool:
    return waiting.size < below and waiting.stage is Stage.VALIDATE


def _messages(due: list[Waiting], below: int) -> Iterator[list[Waiting]]:
    """The files of each message. What was ever held goes alone: it may be what ended its worker."""

    def plain(waiting: Waiting) -> str:
        """The source of a file that others may go with."""
        new = waiting.token == 0 and waiting.version == 1 and _inline(waiting, below)
        return waiting.source if new and waiting.size < SMALL else ""

    for source, alike in groupby(sorted(due, key=plain), plain):
        files = list(alike)
        yield from _parts(files) if source else ([file] for file in files)


def _parts(files: list[Waiting]) -> Iterator[list[Waiting]]:
    most, part, size = -(-len(files) // PARTS), [files[0]], files[0].size
    for file in files[1:]:
        size += file.size
        if len(part) == most or size > SIZE:
            yield part
            part, size = [], file.size
        part.append(file)
    yield part


def _due(ledger: Ledger, limits: Limits) -> list[Waiting]:
    return ledger.due(BATCH, limits.max_in_flight, limits.backfill_in_flight)
