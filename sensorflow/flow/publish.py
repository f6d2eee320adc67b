"""Send a message for each pending file. A file stays pending in the ledger until the broker has room for
its message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice

from sensorflow import failpoints
from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.flow import spans
from sensorflow.ports.outbox import NO_IN_FLIGHT_LIMITS, InFlightLimits, Outbox, Throughput
from sensorflow.ports.queue import Message, Publisher
from sensorflow.settings import Limits

FETCH_SIZE = 400
RECORD_EVERY = 50
"""Number of messages that are sent before they are recorded as sent. Workers can add a file to a batch only
after its message is recorded."""
MIN_BATCHES = 4
"""Minimum number of batches over which pending small files are spread, so that several workers get
files."""
SMALL_FILE_BYTES = 256 << 10
"""Size in bytes. A file of this size or larger gets a message and a transaction of its own."""
BATCH_BYTES = 4 << 20
"""Maximum bytes of all files of a batch."""
BATCH_FILES = 100
"""Maximum number of files in a batch."""
QUEUED_WORK_SECONDS = 2.0
"""Seconds of work that may be queued in the broker. A new file has to wait for the work that is queued
before it."""
MIN_WINDOW = 100
"""Amount of work that may always be in flight, even if the throughput is low. For the unit see
`ports.outbox.estimated_work`."""
LARGE_FILE_BYTES = 8 << 20
"""Size in bytes. A file of this size or larger occupies its worker for seconds."""


def publish(
    ledger: Outbox, publisher: Publisher, limits: Limits, touch: Callable[[], object] = lambda: None
) -> int:
    """Send messages for all pending files, within the limits. Live files come before files of the backfill
    lane. Within a lane, the sources alternate. touch: called repeatedly while messages are sent.

    `published_at` is set after the broker has confirmed the message. If the process crashes between these
    steps, the message is sent twice. This is harmless, because a file is claimed only once. Returns the
    number of files sent. Raises Transient if the broker or the database is unavailable; messages that were
    sent before are recorded.
    """
    total = 0
    if not _pending(ledger, limits, replace(NO_IN_FLIGHT_LIMITS, shares=limits.shares), 1):
        return total
    with ledger.publisher_lease() as is_mine:
        for share in _in_flight_limits(ledger, limits) if is_mine() else ():
            while is_mine() and (pending := _pending(ledger, limits, share)):
                for some in _messages(pending, limits):
                    touch()
                    total += _send(ledger, publisher, some)
    return total


def _in_flight_limits(ledger: Outbox, limits: Limits) -> Iterator[InFlightLimits]:
    """Yield first the limits that always apply, then the limits that the workers' throughput allows."""
    yield in_flight_limits(limits, Throughput(0.0, None))
    yield in_flight_limits(limits, ledger.throughput())


def in_flight_limits(limits: Limits, pace: Throughput) -> InFlightLimits:
    """Returns the limits for a throughput of the workers. A quarter of `max_in_flight` stays free for files
    that arrive later. If there are three or more children, one child is reserved for files that are not
    large."""
    children = pace.children or limits.workers
    return InFlightLimits(
        window=max(MIN_WINDOW, round(pace.work * QUEUED_WORK_SECONDS)),
        files=max(1, limits.max_in_flight * 3 // 4),
        least=children + 1,
        large=children - 1 if children > 2 else children,
        large_bytes=LARGE_FILE_BYTES,
        shares=limits.shares,
    )


def _messages(pending: list[OutboxEntry], limits: Limits) -> Iterator[list[Message]]:
    """Yield messages in small groups. A file that is too large for a single message gets one message for
    each stage."""
    below = limits.inline_below
    if limits.group_small_files:
        yield [_message(files, below) for files in _batches(pending, below)]
        return
    messages = (_message([entry], below) for entry in pending)
    while some := list(islice(messages, RECORD_EVERY)):
        yield some


def _message(files: Sequence[OutboxEntry], below: int) -> Message:
    return Message(files, None if _inline(files[0], below) else files[0].stage)


def _send(ledger: Outbox, publisher: Publisher, messages: Sequence[Message]) -> int:
    """Send messages, and record in the ledger that they were sent. Returns the number of files sent."""
    sent: list[OutboxEntry] = []
    began = time.time_ns()

    def confirmed(message: Message) -> None:
        failpoints.hit(failpoints.Failpoint.SENT)
        spans.published(message.files, began)
        first, *others = message.files
        sent.extend((first, *(replace(o, sent_with=first.file_id) for o in others)))

    try:
        publisher.publish(_with_failpoint(messages), confirmed)
    finally:
        if sent:
            ledger.mark_sent(sent)
            failpoints.hit(failpoints.Failpoint.PUBLISHED)
    return len(sent)


def _with_failpoint(messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        failpoints.hit(failpoints.Failpoint.PUBLISH)
        yield message


def _inline(entry: OutboxEntry, below: int) -> bool:
    return entry.size < below and entry.stage is Stage.VALIDATE


def _batches(pending: list[OutboxEntry], below: int) -> Iterator[list[OutboxEntry]]:
    """Yield the files of each message. Small new files of a source share a message. A file that was claimed
    before gets its own message, because it may have crashed its worker."""

    def batch_key(entry: OutboxEntry) -> str:
        """Returns the source if the file may share a message, else an empty string."""
        new = entry.token == 0 and entry.version == 1 and _inline(entry, below)
        return entry.source if new and entry.size < SMALL_FILE_BYTES else ""

    for source, entries in groupby(sorted(pending, key=batch_key), batch_key):
        files = list(entries)
        yield from _split(files) if source else ([file] for file in files)


def _split(files: list[OutboxEntry]) -> Iterator[list[OutboxEntry]]:
    limit, part, size = -(-len(files) // MIN_BATCHES), [files[0]], files[0].size
    for file in files[1:]:
        size += file.size
        if len(part) == limit or size > BATCH_BYTES:
            yield part
            part, size = [], file.size
        part.append(file)
    yield part


def _pending(
    ledger: Outbox, limits: Limits, share: InFlightLimits, limit: int = FETCH_SIZE
) -> list[OutboxEntry]:
    return ledger.pending(limit, limits.max_in_flight, limits.backfill_in_flight, share)
