"""Copies the objects of an area from its previous location to its current location, while the fleet runs.

While `storage.previous` is set, no process with these settings changes an object at the previous location:
new objects are stored at the current location only, and an object is deleted from the previous location
first. Garbage collection is paused, so that no landed object is deleted. Each object is copied as follows:

1. An object is copied only if the current location has none of its name. Small objects are stored by a
   conditional create. For larger objects, and for stores that have none, the name is looked up again when
   all bytes were read.
2. If the object no longer exists at the previous location, a worker has deleted it while it was copied: the
   copy is deleted too.
3. The copy is read back, and its SHA-256 is compared.

Nothing is deleted at the previous location.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Protocol

from sensorflow.core.findings import Fault
from sensorflow.errors import Code, SensorflowError, Transient
from sensorflow.flow.hashed import Damaged, VerifyingReader, digest_of
from sensorflow.flow.in_flight import in_flight
from sensorflow.flow.landing import Landing
from sensorflow.ports.audit import FileRecord
from sensorflow.ports.objects import BEGAN, Object, ObjectStore

LANDING = "landing"
CONDITIONAL_BYTES = 8 << 20
"""Size in bytes up to which an object is in memory while it is copied, for a conditional create."""
THREADS = 8
LARGE_AT_ONCE = 2
"""Number of objects above `CONDITIONAL_BYTES` that are copied at the same time. Reading and uploading one
of them needs about 64 MiB of memory."""
PASSES = 20
"""Maximum number of times that an area is listed. It is listed again if objects were found."""
CONSECUTIVE_FAILURES = 20
"""Number of objects after which the migration is stopped, if all of them failed."""
MAX_PROBLEMS = 1000
FILES_AT_ONCE = 100_000
"""Number of files of the ledger for which the landing zone is listed once."""
CLOCK_MARGIN = timedelta(minutes=1)
"""Difference between the clocks of two stores that does not count."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fate(StrEnum):
    """What happened to an object."""

    COPIED = "copied"
    PRESENT = "present"  # the same bytes are at the current location
    REPLACED = "replaced"  # the fleet has stored a newer object of this name
    DELETED = "deleted"  # the fleet has deleted the object
    CONFLICT = "conflict"  # the object at the previous location is newer than the current one
    DAMAGED = "damaged"  # the bytes do not have the SHA-256 in the name
    FAILED = "failed"  # a store was unavailable, or returned other bytes than were stored


PROBLEMS = (Fate.CONFLICT, Fate.DAMAGED, Fate.FAILED)


@dataclass(frozen=True, slots=True)
class Moved:
    """The result for one object. bytes: the number of bytes that were copied. reason: for people."""

    found: Object
    fate: Fate
    bytes: int = 0
    reason: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the object needs no further attention."""
        return self.fate not in PROBLEMS


@dataclass
class MigrationTotals:
    """The totals of a migration. found: number of objects at the previous location when it began. objects:
    number of objects by fate. bytes: number of copied bytes. already: number of objects that an earlier run
    has finished. problems: a message for each object that needs attention, at most `MAX_PROBLEMS`.
    missing: a message for each landed file that is at neither location."""

    found: int = 0
    objects: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))
    bytes: int = 0
    already: int = 0
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failures_in_succession: int = 0

    @property
    def done(self) -> int:
        """Number of objects that are done or have failed."""
        return sum(self.objects.values()) + self.already

    @property
    def not_copied(self) -> int:
        return sum(self.objects[fate] for fate in PROBLEMS)

    def add(self, place: str, moved: Moved) -> None:
        self.objects[moved.fate] += 1
        self.bytes += moved.bytes
        is_failure = moved.fate is Fate.FAILED
        self.failures_in_succession = self.failures_in_succession + 1 if is_failure else 0
        if not moved.is_done and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{place}: {moved.fate}: {moved.reason}")


class Journal(Protocol):
    """Remembers the objects that are done, across runs."""

    def __contains__(self, entry: tuple[str, Object]) -> bool: ...

    def add(self, area: str, found: Object) -> None: ...


class Move:
    """Copies the objects of one area. area: its name. previous, current: its stores. Safe to use from
    several threads."""

    def __init__(self, area: str, previous: ObjectStore, current: ObjectStore) -> None:
        self.area = area
        self._previous, self._current = previous, current
        self._large = threading.BoundedSemaphore(LARGE_AT_ONCE)

    def require_available(self) -> None:
        """Raise Transient STORAGE if one of the stores is unavailable, by one request to each."""
        for objects in (self._current, self._previous):
            next(iter(objects.list()), None)

    def objects(self) -> Iterator[Object]:
        """Yield the objects at the previous location, in arbitrary order."""
        return self._previous.list()

    def copy(self, found: Object) -> Moved:
        """Copy an object of the previous location, unless it is at the current location."""
        try:
            with self._large if found.size > CONDITIONAL_BYTES else nullcontext():
                return self._copied(found)
        except Damaged as error:
            expected = self._expected(found)
            reason = f"SHA-256 {error.found}, expected {expected}"
            return Moved(found, Fate.DAMAGED, reason=reason)
        except SensorflowError as error:
            return Moved(found, Fate.FAILED, reason=str(error))
        except OSError as error:
            return Moved(found, Fate.FAILED, reason=str(error))

    def _copied(self, found: Object) -> Moved:
        if self._current.head(found.name) is not None:
            return self._compared(found)
        try:
            with self._previous.open(found.name) as source:
                reader = VerifyingReader(source, self._expected(found), found.size)
                is_stored = self._store(found, reader)
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return Moved(found, Fate.DELETED)
            raise
        return self._verified(found, reader) if is_stored else self._compared(found)

    def _store(self, found: Object, reader: VerifyingReader) -> bool:
        """Store an object unless the current location has one of its name. Returns whether it was
        stored."""
        if found.size <= CONDITIONAL_BYTES:
            data = reader.read(CONDITIONAL_BYTES + 1)
            while block := reader.read(CONDITIONAL_BYTES):
                data += block
            return self._current.create(found.name, data)

        def name() -> str:
            if self._current.head(found.name) is not None:
                raise _ExistsError
            return found.name

        try:
            self._current.put(name, reader)
        except _ExistsError:
            return False
        return True

    def _verified(self, found: Object, reader: VerifyingReader) -> Moved:
        """Read the copy back, and compare it."""
        stored = self._current.head(found.name)
        if self.area != LANDING and self._previous.head(found.name) is None:
            self._current.delete(found.name)
            return Moved(found, Fate.DELETED)
        digest = self._digest(self._current, found.name)
        if digest == reader.digest:
            return Moved(found, Fate.COPIED, reader.count)
        if digest is None or stored != self._current.head(found.name):
            return Moved(found, Fate.REPLACED)
        if self.area == LANDING:  # otherwise the damaged copy would hide the intact object
            self._current.delete(found.name)
        reason = f"stored with SHA-256 {reader.digest}, read back with {digest}"
        return Moved(found, Fate.FAILED, reason=reason)

    def _compared(self, found: Object) -> Moved:
        """Compare the objects at both locations."""
        current = self._digest(self._current, found.name)
        expected = self._expected(found)
        if expected is not None:
            return (
                Moved(found, Fate.PRESENT)
                if current == expected
                else self._repaired(found, expected)
            )
        previous = self._digest(self._previous, found.name)
        if previous is None:
            return Moved(found, Fate.DELETED)
        if current == previous:
            return Moved(found, Fate.PRESENT)
        stored = self._current.head(found.name)
        if stored is not None and stored.modified_at + CLOCK_MARGIN < found.modified_at:
            reason = "the object at the previous location is newer than the current one"
            return Moved(found, Fate.CONFLICT, reason=reason)
        return Moved(found, Fate.REPLACED)

    def _repaired(self, found: Object, expected: str) -> Moved:
        """Replace a landed object that is damaged at the current location."""
        with self._previous.open(found.name) as source:
            reader = VerifyingReader(source, expected, found.size)
            self._current.put(found.name, reader)
        return self._verified(found, reader)

    def _digest(self, objects: ObjectStore, name: str) -> str | None:
        """Return the SHA-256 of an object, or None if it does not exist."""
        try:
            with objects.open(name) as stream:
                return digest_of(stream)[0]
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def _expected(self, found: Object) -> str | None:
        """Return the SHA-256 that the name of a landed object contains; None for other objects."""
        digest = found.name.rpartition("/")[2]
        is_landed = self.area == LANDING and _SHA256.fullmatch(digest)
        return digest if is_landed else None


class _ExistsError(Exception):
    """An object of this name exists."""


def set_created_at(objects: ObjectStore, at: datetime | None) -> None:
    """Replace the time at which a store was created by the time `at` of the store from which all its
    objects were moved; None if unknown. Otherwise, an audit would assume that an older object that is
    missing is in another store. Raises Transient STORAGE."""
    text = "unknown" if at is None else f"{at.timestamp():.6f}"
    objects.put(BEGAN, io.BytesIO(f"{text}\n".encode()))


Progress = Callable[[str, int, int], object]
"""A function that is called with the name of the area, the number of objects of all areas that are done,
and the number of all objects."""


def migrate(moves: list[Move], journal: Journal, progress: Progress) -> MigrationTotals:
    """Copy all objects of these areas. Returns when all objects are done or have failed; if some have
    failed, a further call tries them again. An area is listed again until a listing has no new object.

    Raises Transient STORAGE if a store is unavailable when the migration begins, or if
    `CONSECUTIVE_FAILURES` objects in succession have failed.
    """
    for move in moves:
        move.require_available()
    totals = MigrationTotals()
    totals.found = sum(1 for move in moves for _ in move.objects())
    for move in moves:
        for number in range(PASSES):
            before = totals.done
            new = _new(move, journal, totals, number == 0)
            for moved in in_flight(move.copy, new, THREADS):
                _record(move, moved, journal, totals)
                progress(move.area, totals.done, max(totals.found, totals.done))
            if totals.done == before or totals.problems:
                break
    return totals


def missing_files(landing: Landing, files: Iterable[FileRecord]) -> list[str]:
    """Return a message for each file whose landed bytes do not exist, although retention has not removed
    them. landing: both locations. Raises Transient STORAGE."""
    missing = []
    wanted = (record for record in files if LANDING not in record.expired)
    while records := list(islice(wanted, FILES_AT_ONCE)):
        sizes = landing.sizes(list(dict.fromkeys(record.landing for record in records)))
        missing += [
            f"{Fault.LANDING_MISSING}: file {record.file_id}, {record.source}: {record.name}: no object "
            f"{LANDING}/{record.landing}"
            for record in records
            if sizes[record.landing] is None
        ]
    return missing


def _new(
    move: Move, journal: Journal, totals: MigrationTotals, is_first_pass: bool
) -> Iterator[Object]:
    """Yield the objects of an area that are not done yet."""
    for found in move.objects():
        if (move.area, found) not in journal:
            yield found
        elif is_first_pass:
            totals.already += 1


def _record(move: Move, moved: Moved, journal: Journal, totals: MigrationTotals) -> None:
    totals.add(f"{move.area}/{moved.found.name}", moved)
    if moved.is_done:
        journal.add(move.area, moved.found)
    elif totals.failures_in_succession >= CONSECUTIVE_FAILURES:
        raise Transient(Code.STORAGE, moved.reason)
