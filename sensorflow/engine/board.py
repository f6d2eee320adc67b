"""Memory that a worker's parent process shares with its children. In this memory, each child records its
claims and counts its log events."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sensorflow.adapters.host import status
from sensorflow.flow.clock import now
from sensorflow.ports.claims import Claim, ReadSoFar
from sensorflow.telemetry import Event

SLOTS = 512
SIZE = 1 << 16
"""Number of bytes reserved for the claims of a child. Only pages that are written use memory."""


@dataclass(frozen=True)
class Slot:
    """The state that a child reports. All times are values of `clock.now`, or 0.0 if the event has not
    happened.

    beat: when the child last ran any Python code. since: when the child claimed its files. length: size of
    the pickled claims in bytes. reading: the id of the file that a decoder is reading; 0 if no decoder is
    reading. began: when this decoder started. until: when this decoder must have returned. lost: when the
    child noticed that the lease of the file `reading` was lost. size: bytes of the large file that the
    child is reading; 0 if it reads none. bytes: number of bytes of this file that the child has read; -1 if
    unknown. rows: number of readings that the child has read from this file.
    """

    pid: int = 0
    beat: float = 0.0
    since: float = 0.0
    until: float = 0.0
    reading: int = 0
    began: float = 0.0
    length: int = 0
    lost: float = 0.0
    size: int = 0
    bytes: int = 0
    rows: int = 0


_SLOT = struct.Struct("=qdddqdqdqqq")
_BEAT, _SINCE, _READING, _LENGTH, _LOST, _PROGRESS = 8, 16, 24, 48, 56, 64
_CLAIMS = SLOTS * _SLOT.size
_EVENTS = _CLAIMS + SLOTS * SIZE
_EVENT_BYTES = 8 * len(Event)


class Board:
    """The shared memory, with a slot for each child. The parent creates it before it forks the children."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _EVENTS + SLOTS * _EVENT_BYTES)
        self._number: int | None = None

    def join(self, number: int) -> None:
        """Use the slot with this number from now on. Called in a child. No other living child of the pool
        may use this slot."""
        self._number = number % SLOTS
        slot = Slot(pid=os.getpid(), beat=now())
        _SLOT.pack_into(self._memory, self._number * _SLOT.size, *vars(slot).values())

    def event_counts(self, number: int) -> memoryview:
        """Returns the counters in which the child with this number counts its log events, see
        `telemetry.count_into`. They are not reset for a later child with the same number, so the sums never
        decrease."""
        begin = _EVENTS + number % SLOTS * _EVENT_BYTES
        return memoryview(self._memory)[begin : begin + _EVENT_BYTES].cast("Q")

    def events(self) -> list[int]:
        """Returns, for each log event, how often all children have emitted it. The index is
        `Event.number`."""
        counts = [self.event_counts(number) for number, _ in self.slots()]
        return [sum(column) for column in zip(*counts, strict=True)] or [0] * len(Event)

    def beat(self) -> None:
        self._put(_BEAT, "=d", now())

    def hold(self, claims: Sequence[Claim]) -> None:
        """Record all claims that the child has now. The sequence is empty if the child has no claims."""
        data = pickle.dumps(list(claims)) if claims and self._number is not None else b""
        if len(data) > SIZE:
            data = b""  # the parent does not know these claims; their leases expire if the child is killed
        if data and self._number is not None:
            start = _CLAIMS + self._number * SIZE
            self._memory[start : start + len(data)] = data
        self._put(_LENGTH, "=q", len(data))
        self._put(_SINCE, "=d", now() if claims else 0.0)
        self._put(_PROGRESS, "=q", 0)

    def report(self, claim: Claim, read: ReadSoFar) -> None:
        """Record how far the child has read a file. The record is valid until the next call of `hold`."""
        known = -1 if read.bytes is None else read.bytes
        self._put(_PROGRESS, "=qqq", claim.size, known, read.rows)

    def mark(self, file_id: int, seconds: float) -> None:
        """Record the file that a decoder is reading, see `deadlines.DeadlineWatcher`."""
        at = now()
        values = (at + seconds, file_id, at) if file_id else (0.0, 0, 0.0)
        self._put(_LOST, "=d", 0.0)
        self._put(_READING, "=dqd", *values)

    def lose(self, file_id: int) -> None:
        """If a decoder is reading this file, record that the lease of the file is lost. Otherwise nothing
        is recorded, because other work on the file ends by itself at the next block."""
        if self._number is not None and self._slot(self._number).reading == file_id:
            self._put(_LOST, "=d", now())

    def _put(self, place: int, layout: str, *values: float) -> None:
        if self._number is not None:
            struct.pack_into(layout, self._memory, self._number * _SLOT.size + place, *values)

    def busy(self, pids: Collection[int]) -> float:
        """Returns for how many seconds all of these children have been busy with the files that they have
        now. Returns 0.0 if one of the children has no files."""
        since = {slot.pid: slot.since for _, slot in self.slots()}
        starts = [since.get(pid, 0.0) for pid in pids]
        return now() - max(starts) if starts and all(starts) else 0.0

    def progress(self) -> dict[int, tuple[int | None, int]]:
        """Returns the progress of each child that is reading a large file: pid -> (percent of the file's
        bytes, or None if unknown; number of readings)."""
        found = {slot.pid: slot for _, slot in self.slots() if slot.size}
        return {
            pid: (None if slot.bytes < 0 else 100 * slot.bytes // slot.size, slot.rows)
            for pid, slot in found.items()
        }

    def occupied(self, pids: Collection[int], seconds: float) -> int:
        """Returns the number of these children that have been processing the same files for longer than
        `seconds`."""
        since = {slot.pid: slot.since for _, slot in self.slots()}
        return sum(0 < since.get(pid, 0.0) < now() - seconds for pid in pids)

    def facts(self, pids: Collection[int]) -> dict[str, int | None]:
        """Returns the heartbeat's fields `stopped` and `busy` for these children, see
        `core.heartbeat.LoopReport`. A field that does not apply is None."""
        stopped = sum(status(pid)[0] in ("T", "t") for pid in pids)
        return {"stopped": stopped or None, "busy": int(self.busy(pids) // 60) or None}

    def slots(self) -> list[tuple[int, Slot]]:
        """Returns the number and the state of each slot that was ever used, including slots of children
        that have ended."""
        heads = enumerate(_SLOT.iter_unpack(self._memory[:_CLAIMS]))
        return [(number, Slot(*head)) for number, head in heads if head[0]]

    def claims(self, number: int, pid: int) -> list[Claim]:
        """Returns the claims of a child that was just killed. Returns an empty list if another child
        already uses the slot, or if the child was killed while it was writing its claims."""
        slot = self._slot(number)
        start = _CLAIMS + number * SIZE
        data = self._memory[start : start + slot.length]
        if not slot.since or not data or (slot.pid, self._slot(number).pid) != (pid, pid):
            return []
        try:
            found: list[Claim] = pickle.loads(data)
        except Exception:  # noqa: BLE001 - an incomplete pickle may raise any exception
            return []
        return found

    def _slot(self, number: int) -> Slot:
        return Slot(*_SLOT.unpack_from(self._memory, number * _SLOT.size))
