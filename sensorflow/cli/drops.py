"""What lies in the drop folders and does not go on: unreadable, overdue, never finished, not included."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sensorflow.cli import gated
from sensorflow.core.arrival import printable
from sensorflow.core.health import Check, span
from sensorflow.core.stability import takes
from sensorflow.errors import SensorflowError

if TYPE_CHECKING:
    from sensorflow.adapters.feeds.folder.drop import Folder
    from sensorflow.adapters.feeds.folder.gates import Book
    from sensorflow.ports.audit import Books
    from sensorflow.settings import Settings

MOST = 200_000
"""Files of a folder that are looked at."""
PATIENCE = 10.0
"""Seconds of a folder after which no more of it is looked at."""
UNFINISHED = 3600.0
"""Seconds after which a file that is still written, by its name, was left behind."""
LATE = 60.0
"""Seconds, and four rescans, after which a file should have been taken in."""
EXAMPLES = 3
BATCH = 500


@dataclass
class Found:
    """Names by what is the matter with them; not_included by pattern, such as "*.pdf"."""

    files: int = 0
    whole: bool = True
    unreadable: list[bytes] = field(default_factory=list)
    unfinished: list[bytes] = field(default_factory=list)
    overdue: list[bytes] = field(default_factory=list)
    not_included: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    oldest: float = 0.0


def checks(
    settings: Settings,
    folders: list[Folder],
    books: Books | None,
    taken_in: bool,
    ledger: Book | None = None,
) -> Iterator[Check]:
    """books, ledger: where it can be asked. taken_in: a daemon goes on, which takes in what waits."""
    for folder in folders:
        if folder.readable():
            waits = gated.quietly(folder, ledger, books) if ledger is not None else []
            yield from gated.checks(folder.name, waits)
            held = gated.held_keys(waits)
            yield from _told(folder.name, look(settings, folder, books, held), taken_in)


def look(
    settings: Settings, folder: Folder, books: Books | None, held: Set[bytes] = frozenset()
) -> Found:
    """held: keys of files that wait for their gates."""
    found, now, until = Found(), time.time(), time.monotonic() + PATIENCE
    late = max(LATE, 4 * settings.rescan, 4 * folder.source.settle)
    kept: list[tuple[bytes, str]] = []
    for key, stat in folder.all_files():
        if found.files >= MOST or time.monotonic() > until:
            found.whole = False
            break
        found.files += 1
        age = now - max(stat.mtime_ns, stat.ctime_ns) / 1e9
        if folder.is_gate(key):
            continue
        if not folder.takes(key):
            _apart(folder, key, now - stat.mtime_ns / 1e9, found)
        elif not _readable(folder, key):
            found.unreadable.append(key)
        elif age > late and not folder.source.growing and key not in held:
            if folder.source.after == "keep":
                kept.append((key, stat.fingerprint))
            else:
                _overdue(found, key, age)
    if books is not None:
        with suppress(SensorflowError):  # of the ledger, which is looked at apart
            found.overdue += _unknown(books, folder.name, kept)
    return found


def _unknown(books: Books, source: str, kept: list[tuple[bytes, str]]) -> list[bytes]:
    pieces = (kept[start : start + BATCH] for start in range(0, len(kept), BATCH))
    return [key for piece in pieces for key, _ in books.unknown(source, piece)]


def _apart(folder: Folder, key: bytes, age: float, found: Found) -> None:
    name = key.rpartition(b"/")[2]
    if name.startswith(b"."):
        return
    if takes(key, ("*",), folder.source.exclude):
        stem, dot, ending = name.rpartition(b".")
        pattern = f"*.{printable(ending)}" if stem and dot else "names without an ending"
        found.not_included[pattern].append(key)
    elif age > UNFINISHED:
        found.unfinished.append(key)


def _overdue(found: Found, key: bytes, age: float) -> None:
    found.overdue.append(key)
    found.oldest = max(found.oldest, age)


def _readable(folder: Folder, key: bytes) -> bool:
    return os.access(os.path.join(os.fsencode(folder.root), key), os.R_OK)  # noqa: PTH118


def _told(source: str, found: Found, taken_in: bool) -> Iterator[Check]:
    what = f"source {source}"
    for pattern, keys in sorted(found.not_included.items()):
        todo = f"set include in sources.{source} to take them, or move them elsewhere"
        yield Check(what, "warn", f"not included, and left alone: {_shown(keys, pattern)}", todo)
    if found.unreadable:
        todo = "let the daemon's user read them (chmod), or remove them"
        yield Check(what, "fail", f"unreadable: {_shown(found.unreadable)}", todo)
    if found.unfinished:
        shown = f"not finished for more than {span(UNFINISHED)}: {_shown(found.unfinished)}"
        yield Check(what, "warn", shown, "look at the sender, or remove what it left behind")
    if found.overdue:
        oldest = f", the oldest since {span(found.oldest)}" if found.oldest else ""
        shown = f"waiting to be taken in for too long: {_shown(found.overdue)}{oldest}"
        todo = "is a file open for writing all the time? the daemon's log names it"
        todo = (
            f"nothing, while they become fewer; {todo}"
            if taken_in
            else f"does the daemon run? {todo}"
        )
        yield Check(what, "warn" if taken_in else "fail", shown, todo)
    if not found.whole:
        yield Check(
            what, "ok", f"of its drop folder the first {found.files:,} files were looked at"
        )


def _shown(keys: list[bytes], pattern: str = "") -> str:
    examples = ", ".join(printable(key) for key in keys[:EXAMPLES])
    more = ", ..." if len(keys) > EXAMPLES else ""
    files = "1 file" if len(keys) == 1 else f"{len(keys):,} files"
    return f"{files}{f' {pattern}' if pattern else ''} ({examples}{more})"
