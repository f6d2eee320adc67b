"""Compare growing files in their drop folders with the bytes that were taken in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from sensorflow.core.arrival import printable
from sensorflow.core.findings import Fault, Finding
from sensorflow.core.growth import BACKLOG, Ingested, Segment, Verdict, compare, complete, holds
from sensorflow.flow.audit.context import AuditContext
from sensorflow.flow.audit.report import Recheck, Report
from sensorflow.flow.segments import segments
from sensorflow.ports.audit import FileRecord
from sensorflow.ports.feed import Candidate, FeedError, GrowingFeed

PAGE = 100
MAX_MISSED_SCANS = 3
"""Number of scans that may miss a file before the file is reported."""


def overdue(context: AuditContext, report: Report, feed: GrowingFeed) -> None:
    """Report files with complete lines that should have been taken in by now."""
    limit = MAX_MISSED_SCANS * max(feed.delay, context.services.settings.rescan, BACKLOG)
    old = time.time_ns() - int(limit * 1e9)
    for file, ingested in files(context, feed):
        since = 0 if ingested is None else ingested.size
        quiet = file.changed_ns < old  # nothing was written since then
        passed = ingested is not None and ingested.age > limit and file.size > since
        if not (quiet or passed) or file.size <= since or not _has_line(feed, file, since):
            continue
        if ingested is not None or context.store.unregistered(
            feed.name, [(file.key, file.revision)]
        ):
            expected = f"taken in {feed.delay:g} s after it was written"
            found = f"complete lines after byte {since:,}, written {limit:,.0f} s ago or earlier"
            fault = Fault.DROP_OVERDUE
            _find(context, report, feed, fault, file, ingested, expected, found)


def changed(context: AuditContext, report: Report) -> None:
    """Report files that no longer begin with the bytes that were taken in. Reads every file."""
    for feed in context.growing.values():
        if context.source in (None, feed.name):
            for file, ingested in files(context, feed):
                if (
                    ingested is None
                    or ingested.inode != feed.place(file)
                    or file.size < ingested.size
                ):
                    continue
                if not _holds(feed, file, segments(context.intake, ingested.root, ingested.size)):
                    expected = f"the {ingested.size:,} bytes that were taken in"
                    fault, found = Fault.GROWING_CHANGED, "other bytes"
                    _find(context, report, feed, fault, file, ingested, expected, found)


def _has_line(feed: GrowingFeed, file: Candidate, start: int) -> bool:
    """Whether a file has a complete line after byte `start`. Returns False if the file cannot be read."""
    with suppress(FeedError), feed.open(file) as opened:
        return complete(opened, start, opened.state().size) > start
    return False


def _holds(feed: GrowingFeed, file: Candidate, segments: Iterable[Segment]) -> bool:
    """Whether a file begins with exactly these parts. Returns True if the file cannot be read."""
    with suppress(FeedError), feed.open(file) as opened:
        return holds(opened, segments)
    return True


def files(context: AuditContext, feed: GrowingFeed) -> Iterator[tuple[Candidate, Ingested | None]]:
    """Yield the files of a source, each with a description of the bytes that were taken in from the file,
    or with None if nothing was taken in.

    Also yields files that were renamed to names that the source does not accept, if bytes of them were
    taken in before.
    """
    newest = context.intake.find_ingested(feed.name, [], [], PAGE)
    folders = {_folder(t.key): Candidate(feed.name, t.key, "", 0, 0, 0) for t in newest}
    seen: set[bytes] = set()
    found = feed.scan()
    while page := list(islice(found, PAGE)):
        for file, by_inode, by_key in _looked_up(context, feed, page):
            seen.add(file.key)
            folders[_folder(file.key)] = file
            yield file, by_inode or by_key
    for one in folders.values():
        others = (file for file in feed.siblings(one) if file.key not in seen)
        while page := list(islice(others, PAGE)):
            for file, ingested, _ in _looked_up(context, feed, page):
                if ingested is not None and _is_same_file(feed, file, ingested):
                    yield file, ingested


def _folder(key: bytes) -> bytes:
    return key.rpartition(b"/")[0]


def _looked_up(
    context: AuditContext, feed: GrowingFeed, page: list[Candidate]
) -> Iterator[tuple[Candidate, Ingested | None, Ingested | None]]:
    """Yield each file with two descriptions: of the bytes that were taken in from the file with this inode,
    and of those that were taken in from the file with this name."""
    keys, inodes = [file.key for file in page], [feed.place(file) for file in page]
    ingested = context.intake.find_ingested(feed.name, keys, inodes)
    by_inode = {t.inode: t for t in ingested}
    by_key = {t.key: t for t in ingested}
    for file, inode in zip(page, inodes, strict=True):
        yield file, by_inode.get(inode), by_key.get(file.key)


def _is_same_file(feed: GrowingFeed, file: Candidate, ingested: Ingested) -> bool:
    """Whether the bytes that `ingested` describes were taken in from this file. Compares the first and the
    last of these bytes, because the file system reuses inodes."""
    with suppress(FeedError), feed.open(file) as opened:
        return compare(ingested, feed.place(file), file.size, opened) is Verdict.SAME
    return False


def _find(
    context: AuditContext,
    report: Report,
    feed: GrowingFeed,
    fault: Fault,
    file: Candidate,
    ingested: Ingested | None,
    expected: str,
    found: str,
) -> None:
    file_id = None if ingested is None else ingested.root
    text = Finding(fault, feed.name, file_id, printable(file.key), expected, found)
    report.add(text, _unchanged(context, feed, file, ingested))


def _unchanged(
    context: AuditContext, feed: GrowingFeed, file: Candidate, ingested: Ingested | None
) -> Recheck:
    """Returns a recheck that confirms the finding only if nothing more was taken in from the file."""

    def still(_: FileRecord | None) -> bool:
        now = context.intake.find_ingested(feed.name, [file.key], [feed.place(file)])
        known = {(t.root, t.last) for t in now}
        return (ingested is None and not now) or (
            ingested is not None and (ingested.root, ingested.last) in known
        )

    return still
