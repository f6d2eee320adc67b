"""The fast level: files and their bytes, without rows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from sensorflow.core.arrival import Lane, printable
from sensorflow.core.findings import Fault, Finding
from sensorflow.core.states import State
from sensorflow.errors import Transient
from sensorflow.flow.audit import growing
from sensorflow.flow.audit.elsewhere import Elsewhere
from sensorflow.flow.audit.report import Report, names
from sensorflow.flow.audit.sight import Sight, finding, landing_wanted, unmoved
from sensorflow.ports.audit import Book
from sensorflow.ports.feed import Candidate, Feed

PAGE = 1000
NOTHING = "nothing"
LONG = 10
"""Number of reconciliations after which an unclaimed message is noted, and of rescans that a busy daemon
may need."""


def drops(sight: Sight, report: Report) -> None:
    """Find files that have been in a drop folder for longer than discovery takes and are not in the
    ledger."""
    for feed in sight.feeds:
        if sight.source in (None, feed.name):
            try:
                if feed.name in sight.growing:
                    growing.overdue(sight, report, sight.growing[feed.name])
                    continue
                for file in _unseen(sight, feed):
                    _overdue_drop(sight, report, feed, file)
            except Transient as error:
                report.unseen.append(f"drop folder of {feed.name}: {error}")


def _unseen(sight: Sight, feed: Feed) -> Iterator[Candidate]:
    limit = sight.world.settings.rescan + feed.delay
    recent = sight.now - timedelta(seconds=limit)
    if any(book.received_at > recent for book in sight.books_by_id.values()):
        limit *= LONG  # the daemon is busy: this file may be waiting for its turn
    before = time.time_ns() - int(limit * 1e9)
    # ctime is set by the kernel; mtime is whatever the sender set
    old = (file for file in feed.scan() if file.changed_ns < before)
    while page := list(islice(old, PAGE)):
        unknown = set(sight.books.unknown(feed.name, [(f.key, f.revision) for f in page]))
        for file in page:
            if (file.key, file.revision) in unknown and feed.unchanged(file):
                yield file


def _overdue_drop(sight: Sight, report: Report, feed: Feed, file: Candidate) -> None:
    def still(_: Book | None) -> bool:
        asked = sight.books.unknown(feed.name, [(file.key, file.revision)])
        return bool(asked) and feed.unchanged(file)

    age = max(0, time.time_ns() - file.changed_ns) // 10**9
    expected = f"in the ledger {feed.delay:g} s after it is complete, or a rescan later"
    found = f"in the drop folder for {age:,} s, not in the ledger"
    name = printable(file.key)
    report.find(Finding(Fault.DROP_OVERDUE, feed.name, None, name, expected, found), still)


def overdue(sight: Sight, report: Report) -> None:
    """Find pending and running files that make no progress."""
    room = _room(sight) if _idle(sight) else dict.fromkeys(Lane, False)
    slow: list[str] = []
    for book in sight.mine:
        if book.state is State.RUNNING:
            _lease(sight, report, book)
        elif book.state is State.PENDING and book.published_at is None:
            if room[Lane(book.lane)] and not _held_back(sight, book):
                _unpublished(sight, report, book)
        elif book.state is State.PENDING and _is_slow(sight, book):
            slow.append(f"{book.source}/{book.name}")
    if slow:
        report.note(
            f"sent but not claimed for {LONG} reconciliation intervals: {names(slow)}; are workers running?"
        )


def _held_back(sight: Sight, book: Book) -> bool:
    """Whether it is a part of a growing file whose previous part is not finished."""
    before = book.part and sight.books_by_id.get(book.part.follows or 0)
    return bool(before and before.in_flight)


def _idle(sight: Sight) -> bool:
    """Whether nothing was sent for two reconciliation intervals. Otherwise a pending file may just wait for
    its turn."""
    everything = (book.published_at for book in sight.books_by_id.values())
    last = max((at for at in everything if at is not None), default=None)
    return last is None or last < sight.now - sight.patience


def _room(sight: Sight) -> dict[Lane, bool]:
    """Returns, for each lane, whether more files may be sent. Backfill files are sent only when no live
    file is pending."""
    limits = sight.world.settings.limits
    flying = dict.fromkeys(Lane, 0)
    waiting = False
    for book in sight.books_by_id.values():
        if book.in_flight and book.published_at is not None:
            flying[Lane(book.lane)] += 1
        elif book.state is State.PENDING and book.lane == Lane.LIVE:
            waiting = waiting or book.not_before is None or book.not_before <= sight.now
    room = sum(flying.values()) < limits.max_in_flight
    behind = room and not waiting and flying[Lane.BACKFILL] < limits.backfill_in_flight
    return {Lane.LIVE: room, Lane.BACKFILL: behind}


def _lease(sight: Sight, report: Report, book: Book) -> None:
    if book.lease_until is not None and book.lease_until < sight.now - sight.patience:
        ended = f"the lease ended at {book.lease_until:%Y-%m-%d %H:%M:%S} UTC"
        expected = "sent again by the reconciler"
        report.find(finding(Fault.LEASE_OVERDUE, book, expected, ended))


def _unpublished(sight: Sight, report: Report, book: Book) -> None:
    since = max(t for t in (book.received_at, book.moved_at, book.not_before) if t is not None)
    if since < sight.now - sight.patience:
        found = f"due since {since:%Y-%m-%d %H:%M:%S} UTC, not sent"
        expected = "sent within a second while there is room"
        report.find(finding(Fault.PUBLISH_OVERDUE, book, expected, found))


def _is_slow(sight: Sight, book: Book) -> bool:
    assert book.published_at is not None
    return book.published_at < sight.now - LONG / 2 * sight.patience


def landing(sight: Sight, report: Report) -> None:
    """Check that the landed bytes of every file exist and have the right size."""
    sizes: dict[str, int | None] = {}
    began = sight.world.landing.began()
    elsewhere = Elsewhere("landing", began, began)
    for book in sight.mine:
        if "landing" not in book.expired:
            if book.landing not in sizes:
                sizes[book.landing] = sight.world.landing.size(book.landing)
            size = sizes[book.landing]
            if size is None and elsewhere.has(book):
                continue
            if size != book.size:
                report.find(_landed(book, size), landing_wanted)
    elsewhere.report(report)


def _landed(book: Book, size: int | None) -> Finding:
    expected = f"{book.size:,} bytes at landing/{book.landing}"
    if size is None:
        return finding(Fault.LANDING_MISSING, book, expected, NOTHING)
    return finding(Fault.LANDING_SIZE, book, expected, f"{size:,} bytes")


def quarantine(sight: Sight, report: Report) -> None:
    """Check that every quarantined file is unchanged and has its manifest."""
    world = sight.world
    elsewhere = Elsewhere("quarantine", world.landing.began(), world.quarantine.began())
    for book in sight.mine:
        if book.state is State.QUARANTINED and book.quarantined_to is not None:
            found = _kept(sight, book, book.quarantined_to)
            if found is None:
                continue
            gone = found.fault is Fault.KEPT_MISSING and found.found == NOTHING
            if not (gone and elsewhere.has(book)):
                report.find(found, unmoved(book))
    elsewhere.report(report)


def _kept(sight: Sight, book: Book, where: str) -> Finding | None:
    store, expected = sight.world.quarantine, f"kept at quarantine/{where}"
    size = store.size(where)
    if size != book.size:
        found = NOTHING if size is None else f"{size:,} bytes"
        wanted = f"{book.size:,} bytes {expected}"
        return finding(Fault.KEPT_MISSING, book, wanted, found)
    try:
        manifest = store.manifest(where)
    except (Transient, ValueError) as error:
        gone = isinstance(error.__cause__, FileNotFoundError)
        text = "none" if gone else str(error)
        return finding(Fault.MANIFEST_MISSING, book, f"a manifest, {expected}", text)
    if manifest.get("file", {}).get("sha256") != book.sha256.hex():
        return finding(Fault.MANIFEST_MISSING, book, f"its manifest, {expected}", "another file's")
    with store.open(where) as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    if digest != book.sha256:
        wanted = f"SHA-256 {book.sha256.hex()}, {expected}"
        return finding(Fault.KEPT_HASH, book, wanted, f"SHA-256 {digest.hex()}")
    return None


def balance(sight: Sight, report: Report) -> None:
    """Check for every loaded file that read = loaded + rejected + duplicates."""
    for book in sight.mine:
        if book.state is State.LOADED and not book.counts.balanced:
            c = book.counts
            found = f"{c.loaded:,} loaded + {c.rejected:,} rejected + {c.duplicate:,} duplicates"
            report.find(finding(Fault.BALANCE, book, f"{c.read:,} readings", found))
