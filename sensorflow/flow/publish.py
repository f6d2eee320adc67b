"""Messages for the files that are due, one each. The ledger keeps what the broker has no room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice

from sensorflow import crash
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage
from sensorflow.ports import Ledger, Queue
from sensorflow.settings import Limits

BATCH = 400
RECORDED = 50
"""Messages after which the ledger is told that they are sent: a worker takes along what it knows of."""
PARTS = 4
"""Batches that small files which wait at a time are spread over, at least: other workers want some."""
SMALL = 256 << 10
"""Bytes; a file as large as this is worth a message and a transaction of its own."""
SIZE = 4 << 20
"""Bytes of all files of a batch."""
MOST = 100
"""Files of a batch."""


def publish(ledger: Ledger, queue: Queue, limits: Limits) -> int:
    """Publish all that is due, within the limits; live files before those of the backfill lane.

    `published_at` is set after the broker's confirm; a crash between the two sends a message twice,
    which the claim makes harmless. Returns how many were sent; raises Transient when the broker or
    the database is away, what was sent until then being recorded.
    """
    total = 0
    if not _due(ledger, limits, 1):
        return total
    with ledger.publishing() as is_mine:
        while is_mine() and (due := _due(ledger, limits)):
            if limits.group_small_files:
                total += _send(ledger, queue, _groups(due, limits.inline_below), limits)
                continue
            messages = ([waiting] for waiting in due)
            while some := list(islice(messages, RECORDED)):
                total += _send(ledger, queue, some, limits)
    return total


def _send(ledger: Ledger, queue: Queue, messages: Iterable[list[Waiting]], limits: Limits) -> int:
    """Send messages, each of one file or more, and record them; returns how many files were sent."""
    sent: list[Waiting] = []
    try:
        for first, *others in messages:
            crash.point(crash.Point.PUBLISH)
            queue.publish(first, _inline(first, limits.inline_below), others)
            crash.point(crash.Point.SENT)
            sent += (first, *(replace(o, sent_with=first.file_id) for o in others))
    finally:
        if sent:
            ledger.published(sent)
            crash.point(crash.Point.PUBLISHED)
    return len(sent)


def _inline(waiting: Waiting, below: int) -> bool:
    return waiting.size < below and waiting.stage is Stage.VALIDATE


def _groups(due: list[Waiting], below: int) -> Iterator[list[Waiting]]:
    """The files of each message, small new ones a few together. What was ever held goes alone: it may be
    what ended its worker."""

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


def _due(ledger: Ledger, limits: Limits, most: int = BATCH) -> list[Waiting]:
    return ledger.due(most, limits.max_in_flight, limits.backfill_in_flight)
