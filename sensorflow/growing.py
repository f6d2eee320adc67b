"""Takes in the files of a source that grow: only what is new, up to the end of the last whole line.

What was taken of each file is in the ledger. In memory is only which files had nothing new when they were
last looked at; a restart looks at all of them once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO

from sensorflow import crash
from sensorflow.adapters.feeds.folder import Folder, NotAFile, Readable, Unreadable, stat_of
from sensorflow.adapters.feeds.spelling import is_there, log_refused
from sensorflow.core.arrival import printable
from sensorflow.core.growth import (
    CAP,
    CHECK_AFTER,
    CHECK_RATE,
    EDGE,
    Growth,
    Lines,
    Taken,
    Verdict,
    begins,
    compare,
    complete,
    edges,
    holds,
    inode_of,
    refused,
)
from sensorflow.core.names import canonical
from sensorflow.core.stability import Stat
from sensorflow.flow.landing import Landing, LandingGroup
from sensorflow.flow.register import Found, arrivals_of
from sensorflow.flow.segments import segments
from sensorflow.ports.intake import IntakeLease
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, log

GROUP = 100
"""Files that are looked up in the ledger, landed and registered together."""
GROUP_BYTES = 8 << 20
"""Bytes of growths that are landed together: a large one keeps no small one waiting."""
NEWEST = 100
"""Files that a file with a new name may be a copy of."""
SIBLINGS = 20
"""Files in a folder in which the rest of one is looked for that was truncated after it was copied."""
SOONEST = 0.25
"""Seconds between two looks at a folder."""


@dataclass(frozen=True)
class _Rest:
    """A state of a file in which there was nothing new (None: any), and until when (monotonic) that is
    believed."""

    state: str | None
    until: float


class Growing:
    """The growing files of one source. Not safe between threads."""

    def __init__(
        self, settings: Settings, folder: Folder, landing: Landing, ledger: Ledger
    ) -> None:
        self._settings, self.folder = settings, folder
        self._landing, self._ledger = landing, ledger
        self.name_matters = settings.profile_of(folder.source).name_matters
        self._rest: dict[bytes, _Rest] = {}
        self._next = 0.0
        self._hurry = False
        self._newest: list[Taken] | None = None
        self._lease: IntakeLease | None = None
        self._refused: dict[bytes, bytes] = {}
        """Files whose name another one in the folder has -> the key of that, as reported last."""

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def look(self, stopped: Callable[[], bool], lease: IntakeLease | None = None) -> bool:
        """Take what is new in the folder; returns whether there was anything.

        lease: see `Ledger.register_many`. Raises Transient, and IntakeLost.
        """
        grew = False
        for more in self.steps(stopped, lease):
            grew = grew or more
        return grew

    def steps(
        self, stopped: Callable[[], bool], lease: IntakeLease | None = None
    ) -> Iterator[bool]:
        """A look, some files at a time: others have their turn in between. Yields whether there was
        anything in these."""
        self._lease = lease
        began, spent, grew, self._hurry = time.monotonic(), 0.0, False, False
        known: dict[bytes, _Rest] = {}
        files = self._restless(known)
        while not stopped() and (some := list(islice(files, GROUP))):
            for more in self._take(some, known):
                grew = grew or more
                spent += time.monotonic() - began
                yield more
                began = time.monotonic()
        if not stopped():
            self._rest = known
        now = time.monotonic()
        every = max(SOONEST, min(self.folder.source.grow_every / 4, self._settings.rescan))
        spent += now - began
        self._next = now + (0.0 if self._hurry else max(every, 0.0 if grew else 10 * spent))

    def _restless(self, known: dict[bytes, _Rest]) -> Iterator[tuple[bytes, Stat]]:
        """The files that may have something new; the others are noted as known."""
        spelt: dict[bytes, bytes] = {}
        for key, stat in self.folder.scan():
            if not key.isascii() and (other := self._other_spelling(key, stat, spelt)):
                if self._refused.get(key) != other:
                    log_refused(self.folder, key, other)
                self._refused[key] = other
                continue
            rest = self._rest.get(key)
            same = rest is not None and rest.state in (None, stat.fingerprint)
            if rest is not None and same and time.monotonic() < rest.until:
                known[key] = rest
            else:
                yield key, stat

    def _other_spelling(self, key: bytes, stat: Stat, spelt: dict[bytes, bytes]) -> bytes | None:
        """The key of another file in the folder that has this name, and counts: it was known before.

        spelt: of the files seen so far, name -> key.
        """
        known = self._ledger.spelt_otherwise(self.folder.name, key, b"")
        if known is not None and is_there(self.folder, known, stat):
            return known
        first = spelt.setdefault(canonical(key), key)
        return first if first != key else None

    def _take(
        self, files: Sequence[tuple[bytes, Stat]], known: dict[bytes, _Rest]
    ) -> Iterator[bool]:
        inodes = [inode_of(stat) for _, stat in files]
        name, keys = self.folder.name, [key for key, _ in files]
        taken = self._ledger.grown(name, keys, inodes)
        by_key = {t.key: t for t in taken}
        by_inode = {t.inode: t for t in taken}
        self._newest = None
        queue = list(zip(keys, inodes, strict=True))
        while queue:
            growths: list[Growth] = []
            room = GROUP_BYTES
            with self._landing.group() as group:
                while queue and room > 0:
                    crash.point(crash.Point.FOUND)
                    key, inode = queue.pop(0)
                    ours = [by_inode.get(inode), by_key.get(key)]
                    found = self._look_at(group, key, ours, known)
                    growths += found
                    room -= sum(g.arrival.landed.size for g in found)
                group.settle()
            if growths:
                crash.point(crash.Point.LANDED)
                self._enter(growths)
            yield bool(growths)

    def _look_at(
        self,
        group: LandingGroup,
        key: bytes,
        ours: Sequence[Taken | None],
        known: dict[bytes, _Rest],
    ) -> list[Growth]:
        """What is new in one file. ours: what may have been taken of it, by its inode and by its name."""
        try:
            with self.folder.open(key) as stream:
                return _Look(self, group, key, stream, known).growths(ours)
        except NotAFile as error:
            facts = {"source": self.folder.name, "file": printable(key)}
            log().warning(Event.FILE_VANISHED, **facts, why=str(error))
        except (PermissionError, Unreadable) as error:
            self._set_aside(key, known, Event.FILE_UNREADABLE, str(error))
        return []

    def newest(self) -> list[Taken]:
        """What was taken of the newest files of all, the last first; asked for once for each group."""
        if self._newest is None:
            found = self._ledger.grown(self.folder.name, [], [], NEWEST)
            self._newest = found[::-1]
        return self._newest

    def _set_aside(self, key: bytes, known: dict[bytes, _Rest], event: Event, why: str) -> None:
        """Said once for each state of a file."""
        try:
            known[key] = _Rest(self.folder.stat(key).fingerprint, math.inf)
        except NotAFile:
            return
        log().error(event, source=self.folder.name, file=printable(key), why=why)

    def _enter(self, growths: list[Growth]) -> None:
        done = self._ledger.grow(growths, self._lease)
        for growth in growths:
            self._keep_landed(growth)
        told = log()
        for growth, registration in zip(growths, done, strict=True):
            crash.point(crash.Point.REGISTERED)
            if registration is None:  # it was taken by somebody else meanwhile
                continue
            told.info(
                Event.FILE_REGISTERED,
                source=self.folder.name,
                file=printable(growth.arrival.key),
                file_id=registration.file_id,
                version=registration.version,
                kind="growth" if growth.follows else registration.kind,
                size=growth.arrival.landed.size,
                offset=growth.byte_offset,
            )

    def _keep_landed(self, growth: Growth) -> None:
        """Retention may have taken the same bytes, of an older file, before these were registered."""
        if not self._landing.has(growth.arrival.landed.name):
            with self.folder.open(growth.arrival.key) as stream:
                self._landing.put(Readable(Lines(stream, growth.byte_offset, growth.size)))  # type: ignore[arg-type]


class _Look:
    """One look at an open file."""

    def __init__(
        self,
        growing: Growing,
        group: LandingGroup,
        key: bytes,
        stream: BinaryIO,
        known: dict[bytes, _Rest],
    ) -> None:
        self._all, self._group, self._key, self._stream = growing, group, key, stream
        self._known = known
        self._seen_at = datetime.now(UTC)
        self.stat = stat_of(stream)

    def growths(self, ours: Sequence[Taken | None]) -> list[Growth]:
        """As a list: what a file under another name still had comes before what begins anew."""
        by_inode, by_key = ours
        verdicts: dict[int, Verdict] = {}
        for taken in filter(None, ours):
            verdict = verdicts[taken.root] = self._verdict(taken, taken is by_key)
            if verdict is Verdict.SAME:
                return self._more(taken)
        if by_key is None:
            copied = self._copied(by_inode)
            return self._new() if copied is None else copied
        if by_key.age < self._every:  # a backlog is no reason to wait: the old file may go for good
            return self._later(replace(by_key, waiting=False))
        return self._replaced(by_key, verdicts[by_key.root])

    def _copied(self, by_inode: Taken | None) -> list[Growth] | None:
        """What is new in a file that was copied from another one; None if it was not, or not as far as is
        known. The original may have been truncated after it (`copytruncate` of logrotate)."""
        if by_inode is not None or self._all.name_matters:
            return None
        for taken in self._all.newest():
            if self._is_copy(taken):
                if self.stat.size > taken.size:
                    return self._landed(taken) or None
                place = (self._all.folder.name, self._key, taken, None)
                self._all._ledger.looked_at(*place, self.stat.fingerprint, False)
                self._known[self._key] = _Rest(self.stat.fingerprint, math.inf)
                return []
        return None

    def _is_copy(self, taken: Taken) -> bool:
        """Whether this file holds nothing but what was taken of another, or more where that is gone."""
        size = self.stat.size
        if not taken.rows or taken.key == self._key:
            return False
        if size > taken.size:
            verdict = compare(taken, self.stat, self._stream)
            whole = verdict is Verdict.PERHAPS and not self._is_live(taken)
            parts = segments(self._all._ledger, taken.root, taken.size)
            return whole and holds(self._stream, parts)
        if size >= EDGE and edges(self._stream, EDGE)[0] != taken.head:
            return False
        landed = segments(self._all._ledger, taken.root, size)
        return begins(self._stream, size, (self._all._landing.open(s.landing) for s in landed))

    def _is_live(self, taken: Taken) -> bool:
        """Whether the file of which something was taken is still there under its name, and goes on."""
        with suppress(NotAFile, PermissionError), self._all.folder.open(taken.key) as stream:
            return compare(taken, stat_of(stream), stream) is Verdict.SAME
        return False

    @property
    def _every(self) -> float:
        return self._all.folder.source.grow_every

    def _later(self, taken: Taken) -> list[Growth]:
        """It grew a moment ago."""
        until = time.monotonic() + taken.wait(self._every)
        self._known[self._key] = _Rest(None, until)
        return []

    def _verdict(self, taken: Taken, named: bool) -> Verdict:
        verdict = compare(taken, self.stat, self._stream)
        if verdict is Verdict.PERHAPS:  # an editor, rsync: the same, written to a new inode
            whole = named and holds(
                self._stream, segments(self._all._ledger, taken.root, taken.size)
            )
            return Verdict.SAME if whole else Verdict.REPLACED
        return verdict

    def _more(self, taken: Taken) -> list[Growth]:
        """What the file has beyond what was taken of it."""
        if not taken.due(self._every) and self.stat.size - taken.size < CAP:
            return self._later(taken)
        found = self._landed(taken)
        if found:
            return found
        mark, whole = self.stat.fingerprint, False
        if taken.checked != mark and taken.idle:
            if not holds(self._stream, segments(self._all._ledger, taken.root, taken.size)):
                return self._replaced(taken, Verdict.REWRITTEN)
            whole = True
        if whole or (taken.key, taken.inode, taken.fingerprint) != (
            self._key,
            inode_of(self.stat),
            mark,
        ):
            place = (self._all.folder.name, self._key, taken, inode_of(self.stat))
            self._all._ledger.looked_at(*place, mark, whole)
        done = whole or taken.checked == mark
        wait = max(CHECK_AFTER, taken.size / CHECK_RATE)
        until = math.inf if done else time.monotonic() + wait
        self._known[self._key] = _Rest(mark, until)
        return []

    def _replaced(self, taken: Taken, verdict: Verdict) -> list[Growth]:
        """Begin the file anew; what was written to the old one since may be under another name."""
        rest = self._rest_of(taken, verdict)
        begun = self._new()
        if begun:
            log().warning(
                Event.FILE_REPLACED,
                source=self._all.folder.name,
                file=printable(self._key),
                how=str(verdict),
                taken=taken.size,
                rest=sum(growth.arrival.landed.size for growth in rest),
            )
            return [*rest, *begun]
        return rest

    def _rest_of(self, taken: Taken, verdict: Verdict) -> list[Growth]:
        """Of a file that was renamed, or copied and then truncated."""
        siblings = self._all.folder.siblings(self._key)
        if verdict is Verdict.REPLACED:
            wanted = [key for key, stat in siblings if inode_of(stat) == taken.inode]
        else:
            wanted = [key for key, stat in siblings[:SIBLINGS] if stat.size > taken.size]
        for key in wanted:
            with suppress(NotAFile, PermissionError), self._all.folder.open(key) as stream:
                look = _Look(self._all, self._group, key, stream, {})
                same = look._verdict(taken, True) is Verdict.SAME
                if found := look._landed(taken) if same else []:
                    return found
        return []

    def _new(self) -> list[Growth]:
        self._stream.seek(0)
        why = refused(self._stream.read(8))
        if why is not None:
            self._all._set_aside(self._key, self._known, Event.FILE_SKIPPED, why)
            return []
        found = self._landed(None)
        if not found:  # not one whole line so far
            self._known[self._key] = _Rest(self.stat.fingerprint, math.inf)
        return found

    def _landed(self, taken: Taken | None) -> list[Growth]:
        """Land the complete lines behind what was taken; none where there are none, or it changed."""
        start = taken.size if taken else 0
        end = complete(self._stream, start, self.stat.size, CAP)
        if end == start:
            if self.stat.size - start >= CAP:
                why = f"{CAP:,} bytes without the end of a line"
                self._all._set_aside(self._key, self._known, Event.FILE_STUCK, why)
            return []
        self._all._hurry |= self.stat.size - start > CAP
        part = Lines(self._stream, start, end)
        landed = self._group.put(Readable(part))  # type: ignore[arg-type]
        now = stat_of(self._stream)
        head, tail = part.edges(self._stream, start, end)
        unchanged = taken is None or compare(taken, now, self._stream) in _STILL
        if landed.size != end - start or now.size < end or not unchanged:
            return []  # it is looked at again
        name, settings = self._all.folder.name, self._all._settings
        found = Found(self._key, landed, self.stat, self._seen_at, datetime.now(UTC))
        [arrival] = arrivals_of(settings, name, [found])
        return [Growth(arrival, taken, part.count, inode_of(self.stat), head, tail)]


_STILL = (Verdict.SAME, Verdict.PERHAPS)
