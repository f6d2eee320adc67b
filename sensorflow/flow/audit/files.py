"""The fast level: checks files and their bytes, but no rows."""

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
from sensorflow.flow.audit.context import AuditContext, finding, if_unchanged, landing_wanted
from sensorflow.flow.audit.recreated import RecreatedFolder
from sensorflow.flow.audit.report import Report, names
from sensorflow.ports.audit import FileRecord
from sensorflow.ports.feed import Candidate, Feed

PAGE = 1000
NOTHING_FOUND = "nothing"
LONG = 10
"""Number of reconciliation intervals after which the report mentions an unclaimed message. Also the number
of rescans that a busy daemon may need to find a file."""


def drops(context: AuditContext, report: Report) -> None:
    """Report files that have been in a drop folder for longer than discovery should take, but are not in
    the ledger."""
    for feed in context.feeds:
        if context.source in (None, feed.name):
            try:
                if feed.name in context.growing:
                    growing.overdue(context, report, context.growing[feed.name])
                    continue
                for file in _unregistered(context, feed):
                    _overdue_drop(context, report, feed, file)
            except Transient as error:
                report.not_checked.append(f"drop folder of {feed.name}: {error}")


def _unregistered(context: AuditContext, feed: Feed) -> Iterator[Candidate]:
    limit = context.services.settings.rescan + feed.delay
    recent = context.now - timedelta(seconds=limit)
    if any(record.received_at > recent for record in context.records_by_id.values()):
        limit *= LONG  # the daemon is busy and may take in other files first
    before = time.time_ns() - int(limit * 1e9)
    # the kernel sets ctime, but the sender may set any mtime
    old = (file for file in feed.scan() if file.changed_ns < before)
    while page := list(islice(old, PAGE)):
        unknown = set(context.store.unregistered(feed.name, [(f.key, f.revision) for f in page]))
        for file in page:
            if (file.key, file.revision) in unknown and feed.is_unchanged(file):
                yield file


def _overdue_drop(context: AuditContext, report: Report, feed: Feed, file: Candidate) -> None:
    def still(_: FileRecord | None) -> bool:
        asked = context.store.unregistered(feed.name, [(file.key, file.revision)])
        return bool(asked) and feed.is_unchanged(file)

    age = max(0, time.time_ns() - file.changed_ns) // 10**9
    expected = f"in the ledger {feed.delay:g} s after it is complete, or after the next rescan"
    found = f"in the drop folder for {age:,} s, not in the ledger"
    name = printable(file.key)
    report.add(Finding(Fault.DROP_OVERDUE, feed.name, None, name, expected, found), still)


def overdue(context: AuditContext, report: Report) -> None:
    """Report pending and running files that make no progress."""
    room = _has_room(context) if _is_idle(context) else dict.fromkeys(Lane, False)
    slow: list[str] = []
    for record in context.selected:
        if record.state is State.RUNNING:
            _lease(context, report, record)
        elif record.state is State.PENDING and record.published_at is None:
            if room[Lane(record.lane)] and not _is_held_back(context, record):
                _unpublished(context, report, record)
        elif record.state is State.PENDING and _is_slow(context, record):
            slow.append(f"{record.source}/{record.name}")
    if slow:
        report.note(
            f"sent but not claimed for {LONG} reconciliation intervals: {names(slow)}; are workers running?"
        )


def _is_held_back(context: AuditContext, record: FileRecord) -> bool:
    """Whether the file is a part of a growing file and must wait for the previous part."""
    before = record.part and context.records_by_id.get(record.part.follows or 0)
    return bool(before and before.in_flight)


def _is_idle(context: AuditContext) -> bool:
    """Whether no message was sent for two reconciliation intervals. If messages were sent, a pending file
    may be waiting only because other files are sent first."""
    everything = (record.published_at for record in context.records_by_id.values())
    last = max((at for at in everything if at is not None), default=None)
    return last is None or last < context.now - context.grace_period


def _has_room(context: AuditContext) -> dict[Lane, bool]:
    """Returns, for each lane, whether the limits allow more files to be sent. Backfill files are sent only
    when no live file is pending."""
    limits = context.services.settings.limits
    flying = dict.fromkeys(Lane, 0)
    entry = False
    for record in context.records_by_id.values():
        if record.in_flight and record.published_at is not None:
            flying[Lane(record.lane)] += 1
        elif record.state is State.PENDING and record.lane == Lane.LIVE:
            entry = entry or record.not_before is None or record.not_before <= context.now
    room = sum(flying.values()) < limits.max_in_flight
    backfill_may_wait = room and not entry and flying[Lane.BACKFILL] < limits.backfill_in_flight
    return {Lane.LIVE: room, Lane.BACKFILL: backfill_may_wait}


def _lease(context: AuditContext, report: Report, record: FileRecord) -> None:
    if record.lease_until is not None and record.lease_until < context.now - context.grace_period:
        ended = f"the lease ended at {record.lease_until:%Y-%m-%d %H:%M:%S} UTC"
        expected = "sent again by the reconciler"
        report.add(finding(Fault.LEASE_OVERDUE, record, expected, ended))


def _unpublished(context: AuditContext, report: Report, record: FileRecord) -> None:
    since = max(
        t for t in (record.received_at, record.moved_at, record.not_before) if t is not None
    )
    if since < context.now - context.grace_period:
        found = f"due since {since:%Y-%m-%d %H:%M:%S} UTC, not sent"
        expected = "sent within a second, unless too many files are in flight"
        report.add(finding(Fault.PUBLISH_OVERDUE, record, expected, found))


def _is_slow(context: AuditContext, record: FileRecord) -> bool:
    assert record.published_at is not None
    return record.published_at < context.now - LONG / 2 * context.grace_period


def landing(context: AuditContext, report: Report) -> None:
    """Check that the landed bytes of every file exist and have the right size."""
    began = context.services.landing.created_at()
    location = context.services.settings.displayed_zone("landing")
    elsewhere = RecreatedFolder(location, began, began)
    wanted = [record for record in context.selected if "landing" not in record.expired]
    sizes = context.services.landing.sizes(list(dict.fromkeys(r.landing for r in wanted)))
    for record in wanted:
        size = sizes[record.landing]
        if size is None and elsewhere.explains(record):
            continue
        if size != record.size:
            report.add(_landed(record, size), landing_wanted)
    elsewhere.report(report)


def _landed(record: FileRecord, size: int | None) -> Finding:
    expected = f"{record.size:,} bytes at landing/{record.landing}"
    if size is None:
        return finding(Fault.LANDING_MISSING, record, expected, NOTHING_FOUND)
    return finding(Fault.LANDING_SIZE, record, expected, f"{size:,} bytes")


def quarantine(context: AuditContext, report: Report) -> None:
    """Check that every quarantined file is unchanged and has its manifest."""
    services = context.services
    location = services.settings.displayed_zone("quarantine")
    elsewhere = RecreatedFolder(
        location, services.landing.created_at(), services.quarantine.created_at()
    )
    for record in context.selected:
        if record.state is State.QUARANTINED and record.quarantined_to is not None:
            found = _quarantined_copy(context, record, record.quarantined_to)
            if found is None:
                continue
            gone = found.fault is Fault.KEPT_MISSING and found.found == NOTHING_FOUND
            if not (gone and elsewhere.explains(record)):
                report.add(found, if_unchanged(record))
    elsewhere.report(report)


def _quarantined_copy(context: AuditContext, record: FileRecord, location: str) -> Finding | None:
    store, expected = context.services.quarantine, f"kept at quarantine/{location}"
    size = store.size(location)
    if size != record.size:
        found = NOTHING_FOUND if size is None else f"{size:,} bytes"
        wanted = f"{record.size:,} bytes {expected}"
        return finding(Fault.KEPT_MISSING, record, wanted, found)
    try:
        manifest = store.manifest(location)
    except (Transient, ValueError) as error:
        gone = isinstance(error.__cause__, FileNotFoundError)
        text = "none" if gone else str(error)
        return finding(Fault.MANIFEST_MISSING, record, f"a manifest, {expected}", text)
    if manifest.get("file", {}).get("sha256") != record.sha256.hex():
        return finding(
            Fault.MANIFEST_MISSING, record, f"its manifest, {expected}", "another file's"
        )
    with store.open(location) as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    if digest != record.sha256:
        wanted = f"SHA-256 {record.sha256.hex()}, {expected}"
        return finding(Fault.KEPT_HASH, record, wanted, f"SHA-256 {digest.hex()}")
    return None


def balance(context: AuditContext, report: Report) -> None:
    """Check that read = loaded + rejected + duplicates for every loaded file."""
    for record in context.selected:
        if record.state is State.LOADED and not record.counts.balanced:
            c = record.counts
            found = f"{c.loaded:,} loaded + {c.rejected:,} rejected + {c.duplicate:,} duplicates"
            report.add(finding(Fault.BALANCE, record, f"{c.read:,} readings", found))
