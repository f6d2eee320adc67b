"""Files that grow, as they lie in their drop folder, held against what was taken of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from sensorflow.core.arrival import printable
from sensorflow.core.findings import Fault, Finding
from sensorflow.core.growth import BACKLOG, Taken, inode_of
from sensorflow.core.stability import Stat
from sensorflow.flow.audit.report import Report, Still
from sensorflow.flow.audit.sight import Sight
from sensorflow.flow.segments import segments
from sensorflow.ports.audit import Book
from sensorflow.ports.feed import DropFolder

PAGE = 100
LOOKS = 3
"""Times that a file may have been passed by before it is worth a finding."""


def overdue(sight: Sight, report: Report, folder: DropFolder) -> None:
    """Complete lines that should have been taken by now."""
    rules = folder.source
    limit = LOOKS * max(rules.grow_every, sight.world.settings.rescan, BACKLOG)
    old = time.time_ns() - int(limit * 1e9)
    for key, stat, taken in files(sight, folder):
        since = 0 if taken is None else taken.size
        quiet = stat.ctime_ns < old  # nothing was written for so long
        passed = taken is not None and taken.age > limit and stat.size > since
        if not (quiet or passed) or stat.size <= since or not folder.has_line(key, since):
            continue
        if taken is not None or sight.books.unknown(folder.name, [(key, stat.fingerprint)]):
            expected = f"taken {rules.grow_every:g} s after it was written"
            found = f"complete lines behind byte {since:,} for {limit:,.0f} s or more"
            fault = Fault.DROP_OVERDUE
            _find(sight, report, folder, fault, key, stat, taken, expected, found)


def changed(sight: Sight, report: Report) -> None:
    """Files of which what was taken is no longer there, byte for byte. All of them are read."""
    for folder in sight.folders:
        if folder.source.growing and sight.source in (None, folder.name):
            for key, stat, taken in files(sight, folder):
                if taken is None or taken.inode != inode_of(stat) or stat.size < taken.size:
                    continue
                if not folder.holds(key, segments(sight.intake, taken.root, taken.size)):
                    expected = f"the {taken.size:,} bytes that were taken"
                    fault, found = Fault.GROWING_CHANGED, "others"
                    _find(sight, report, folder, fault, key, stat, taken, expected, found)


def files(sight: Sight, folder: DropFolder) -> Iterator[tuple[bytes, Stat, Taken | None]]:
    """What lies in a folder, and what was taken of each."""
    found = folder.scan()
    while page := list(islice(found, PAGE)):
        keys, inodes = [key for key, _ in page], [inode_of(stat) for _, stat in page]
        taken = sight.intake.grown(folder.name, keys, inodes)
        by_inode = {t.inode: t for t in taken}
        by_key = {t.key: t for t in taken}
        for (key, stat), inode in zip(page, inodes, strict=True):
            yield key, stat, by_inode.get(inode) or by_key.get(key)


def _find(
    sight: Sight,
    report: Report,
    folder: DropFolder,
    fault: Fault,
    key: bytes,
    stat: Stat,
    taken: Taken | None,
    expected: str,
    found: str,
) -> None:
    file_id = None if taken is None else taken.root
    text = Finding(fault, folder.name, file_id, printable(key), expected, found)
    report.find(text, _unchanged(sight, folder, key, stat, taken))


def _unchanged(
    sight: Sight, folder: DropFolder, key: bytes, stat: Stat, taken: Taken | None
) -> Still:
    """Whether nothing was taken of the file since."""

    def still(_: Book | None) -> bool:
        now = sight.intake.grown(folder.name, [key], [inode_of(stat)])
        known = {(t.root, t.last) for t in now}
        return (taken is None and not now) or (
            taken is not None and (taken.root, taken.last) in known
        )

    return still
