"""Files that wait for their gates, and gates that wait for their files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorflow.core.arrival import printable
from sensorflow.core.health import Check, span
from sensorflow.errors import Code, Permanent, SensorflowError

if TYPE_CHECKING:
    from sensorflow.adapters.feeds.folder.drop import Folder
    from sensorflow.adapters.feeds.folder.gates import Book, Gates
    from sensorflow.core.stability import Stat
    from sensorflow.flow.check import Checked
    from sensorflow.ports.audit import Books
    from sensorflow.settings import Settings

MOST = 20_000
"""Files and gates of a source that are looked at."""
PATIENCE = 5.0
"""Seconds after which no more of a source is looked at."""
SHOWN = 10


@dataclass(frozen=True)
class Waiting:
    """A file that waits for its gate, or a gate that waits (is_gate). age: seconds."""

    source: str
    key: bytes = field(repr=False)
    why: str
    age: float
    is_overdue: bool
    is_gate: bool = False

    @property
    def name(self) -> str:
        return printable(self.key)

    def as_dict(self) -> dict[str, Any]:
        kind = "gate" if self.is_gate else "file"
        facts = {"source": self.source, "name": self.name, "kind": kind, "why": self.why}
        return {**facts, "seconds": round(self.age, 1), "overdue": self.is_overdue}

    def __str__(self) -> str:
        late = f", OVERDUE for {span(self.age)}" if self.is_overdue else f", for {span(self.age)}"
        return f"{self.name} of {self.source} {self.why}{late}"


def waiting(settings: Settings, book: Book, source: str | None = None) -> list[Waiting]:
    """Of all sources or one; nothing of folders that cannot be read. book: the ledger. Raises Transient."""
    from sensorflow import bootstrap

    found: list[Waiting] = []
    if not any(s.gate for n, s in settings.folders.items() if source in (None, n)):
        return found
    books = bootstrap.books(settings)
    for folder in bootstrap.folders(settings):
        if source in (None, folder.name) and folder.readable():
            found += look(folder, book, books)
    return found


def look(folder: Folder, book: Book, books: Books | None = None) -> list[Waiting]:
    """books: where it is given, files that are kept are looked up there many at a time."""
    from sensorflow.adapters.feeds.folder.gates import of

    gates, until = of(folder, book), time.monotonic() + PATIENCE
    if gates is None:
        return []
    found = []
    for key, stat, why in _held(folder, gates, books, until):
        found.append(_waiting(folder, key, stat, why))
    for key, stat, why in gates.unmet():
        if len(found) >= MOST or time.monotonic() > until:
            break
        found.append(_waiting(folder, key, stat, why, is_gate=True))
    return found


def _held(
    folder: Folder, gates: Gates, books: Books | None, until: float
) -> Iterator[tuple[bytes, Stat, str]]:
    from sensorflow.adapters.feeds.folder.gates import Held

    gates.look()
    files = list(folder.scan())
    gates.present(files)
    if books is not None and folder.source.after == "keep":
        files = _unknown(folder.name, files, books)
    for key, stat in files[:MOST]:
        found = gates.admit(key, stat)
        if isinstance(found, Held):
            yield key, stat, found.why
        if time.monotonic() > until:
            return


def _unknown(
    source: str, files: list[tuple[bytes, Stat]], books: Books
) -> list[tuple[bytes, Stat]]:
    stats, size = dict(files), 500
    pieces = (files[start : start + size] for start in range(0, len(files), size))
    asked = ([(key, stat.fingerprint) for key, stat in piece] for piece in pieces)
    return [(key, stats[key]) for piece in asked for key, _ in books.unknown(source, piece)]


def _waiting(folder: Folder, key: bytes, stat: Stat, why: str, is_gate: bool = False) -> Waiting:
    from sensorflow.adapters.feeds.folder.gating import age, is_overdue

    late = is_overdue(folder, stat)
    return Waiting(folder.name, key, why, max(0.0, age(stat)), late, is_gate)


def checks(source: str, found: Sequence[Waiting]) -> Iterator[Check]:
    """For doctor."""
    for late in (False, True):
        for is_gate in (False, True):
            some = [w for w in found if (w.is_overdue, w.is_gate) == (late, is_gate)]
            if some:
                yield _check(source, some, late, is_gate)


def _check(source: str, some: Sequence[Waiting], late: bool, is_gate: bool) -> Check:
    kind = "gate" if is_gate else "file"
    count = f"1 {kind}" if len(some) == 1 else f"{len(some):,} {kind}s"
    whose = "without a file" if is_gate else "waiting for a gate"
    shown = "; ".join(f"{w.name} {w.why}" for w in some[:3]) + ("; ..." if len(some) > 3 else "")
    oldest = f", the oldest for {span(max(w.age for w in some))}"
    if not late:
        return Check(f"source {source}", "ok", f"{count} {whose}: {shown}{oldest}")
    todo = (
        "ask the sender for what it waits for, or remove the gate"
        if is_gate
        else "ask the sender for the gate, or make it if the file is complete; nothing is lost meanwhile"
    )
    return Check(f"source {source}", "warn", f"OVERDUE: {count} {whose}: {shown}{oldest}", todo)


def lines(found: Sequence[Waiting]) -> Iterator[str]:
    """For `files ls`: what is in no ledger yet. The oldest first."""
    files = sorted((w for w in found if not w.is_gate), key=lambda w: -w.age)
    if files:
        yield f"waiting for their gates, not taken in yet: {len(files):,}"
        yield from (f"  {w}" for w in files[:SHOWN])
    if len(files) > SHOWN:
        yield "  ...: `sensorflow status --json` has them all"


def words(found: Sequence[Waiting]) -> Iterator[str]:
    """For `status`."""
    files = [w for w in found if not w.is_gate]
    late = [w for w in found if w.is_overdue]
    if files:
        yield f"waiting for their gates: {len(files):,}"
    for one in sorted(late, key=lambda w: -w.age)[:3]:
        yield f"overdue: {one}"
    if len(late) > 3:
        yield f"overdue: {len(late):,} in all; see `sensorflow doctor`"


def judge(path: Path, folder: Folder, found: Checked) -> str | None:
    """What `check` says of a file's gate, in the folder of a source that has gates; what differs from it
    becomes the file's error. None where there is nothing to say."""
    from sensorflow.adapters.feeds.folder.gates import Admitted, NoBook, of
    from sensorflow.core.gates.announced import require_rows

    gates, key = of(folder, NoBook()), _key(path, folder)
    if gates is None:
        return None
    gates.look()
    gates.present(folder.scan())
    verdict = gates.admit(key, folder.stat(key))
    if not isinstance(verdict, Admitted):
        return f"{verdict.why}: it is not taken in before"
    if verdict.announcement is None:
        return None
    what = verdict.announcement.what
    if fault := gates.differs(key, what):
        found.error = Permanent(Code.GATE_MISMATCH, fault)
    elif found.error is None:
        try:
            require_rows(what, found.rows)
        except Permanent as error:
            found.error = error
    return f"its gate {what.gate} is there" + _doubt(folder)


def _doubt(folder: Folder) -> str:
    """`check` asks no database, which alone knows on whose word files were registered."""
    if folder.source.after != "keep":
        return ""
    return "; if it was that of another version, `sensorflow files ls` shows this file as waiting"


def folder_of(path: Path, settings: Settings) -> Folder | None:
    """The drop folder of a source with gates that a file lies in."""
    from sensorflow import bootstrap

    for folder in bootstrap.folders(settings):
        if folder.source.gate and path.resolve().is_relative_to(folder.root.resolve()):
            return folder
    return None


def is_gate(path: Path, settings: Settings) -> bool:
    folder = folder_of(path, settings)
    return folder is not None and folder.is_gate(_key(path, folder))


def _key(path: Path, folder: Folder) -> bytes:
    import os

    return os.fsencode(path.resolve().relative_to(folder.root.resolve()))


def held_keys(found: Sequence[Waiting]) -> set[bytes]:
    return {w.key for w in found if not w.is_gate}


def quietly(folder: Folder, book: Book, books: Books | None) -> list[Waiting]:
    """As `look`; what cannot be asked for is reported apart."""
    with suppress(SensorflowError):
        return look(folder, book, books)
    return []
