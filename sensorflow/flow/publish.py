"""Send a message for each pending file. Files for which the broker has no room stay in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice

from sensorflow import crash
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage
from sensorflow.ports.outbox import UNSHARED, Outbox, Pace, Share
from sensorflow.ports.queue import Message, Publisher
from sensorflow.settings import Limits

BATCH = 400
RECORDED = 50
"""Number of messages after which they are recorded as sent. Workers can add only recorded files to a batch.
"""
PARTS = 4
"""Minimum number of batches over which pending small files are spread, so that several workers get some."""
SMALL = 256 << 10
"""Bytes. A file of this size or more gets a message and a transaction of its own."""
SIZE = 4 << 20
"""Maximum bytes of all files of a batch."""
MOST = 100
"""Maximum number of files in a batch."""
WAIT = 2.0
"""Seconds of work that may be queued in the broker. A source's next file waits behind it."""
WINDOW = 100
"""Work that may be in flight at any throughput, see `ports.outbox.work_of`."""
LARGE = 8 << 20
"""Bytes. A file of this size or more occupies its worker for seconds."""


def publish(
    ledger: Outbox, publisher: Publisher, limits: Limits, touch: Callable[[], object] = lambda: None
) -> int:
    """Send messages for all pending files, within the limits: live files before those of the backfill lane,
    and sources in turn. touch: called repeatedly meanwhile.

    `published_at` is set after the broker's confirm. A crash between the two sends a message twice, which
    is harmless because the file is claimed once. Returns the number of files sent. Raises Transient if the
    broker or the database is unavailable; what was sent until then is recorded.
    """
    total = 0
    if not _due(ledger, limits, UNSHARED, 1):
        return total
    with ledger.publishing() as is_mine:
        for share in _shares(ledger, limits) if is_mine() else ():
            while is_mine() and (due := _due(ledger, limits, share)):
                for some in _messages(due, limits):
                    touch()
                    total += _send(ledger, publisher, some)
    return total


def _shares(ledger: Outbox, limits: Limits) -> Iterator[Share]:
    """First yield the limits that always apply, then those that the throughput of the workers allows."""
    yield share_of(limits, Pace(0.0, None))
    yield share_of(limits, ledger.pace())


def share_of(limits: Limits, pace: Pace) -> Share:
    """Returns the limits. A quarter of the window stays free for files that arrive next. With three
    children or more, one is reserved for files that are not large."""
    children = pace.children or limits.workers
    return Share(
        window=max(WINDOW, round(pace.work * WAIT)),
        files=max(1, limits.max_in_flight * 3 // 4),
        least=children + 1,
        large=children - 1 if children > 2 else children,
        large_bytes=LARGE,
    )


def _messages(due: list[Waiting], limits: Limits) -> Iterator[list[Message]]:
    """Yield messages in small groups. A file that is not small is processed stage by stage."""
    below = limits.inline_below
    if limits.group_small_files:
        yield [_message(files, below) for files in _groups(due, below)]
        return
    messages = (_message([waiting], below) for waiting in due)
    while some := list(islice(messages, RECORDED)):
        yield some


def _message(files: Sequence[Waiting], below: int) -> Message:
    return Message(files, None if _inline(files[0], below) else files[0].stage)


def _send(ledger: Outbox, publisher: Publisher, messages: Sequence[Message]) -> int:
    """Send messages and record them. Returns the number of files sent."""
    sent: list[Waiting] = []

    def confirmed(message: Message) -> None:
        crash.point(crash.Point.SENT)
        first, *others = message.files
        sent.extend((first, *(replace(o, sent_with=first.file_id) for o in others)))

    try:
        publisher.publish(_beginning(messages), confirmed)
    finally:
        if sent:
            ledger.published(sent)
            crash.point(crash.Point.PUBLISHED)
    return len(sent)


def _beginning(messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        crash.point(crash.Point.PUBLISH)
        yield message


def _inline(waiting: Waiting, below: int) -> bool:
    return waiting.size < below and waiting.stage is Stage.VALIDATE


def _groups(due: list[Waiting], below: int) -> Iterator[list[Waiting]]:
    """Yield the files of each message; small new ones share a message. A file that was claimed before gets
    its own message, because it may have crashed its worker."""

    def plain(waiting: Waiting) -> str:
        """Returns the source of a file that may share a message."""
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


def _due(ledger: Outbox, limits: Limits, share: Share, most: int = BATCH) -> list[Waiting]:
    return ledger.due(most, limits.max_in_flight, limits.backfill_in_flight, share)
