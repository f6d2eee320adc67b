"""Memory that a worker's parent shares with its children. Each child records its claims and counts its log
events there."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sensorflow.adapters.host import status
from sensorflow.flow.clock import now
from sensorflow.ports.claims import Claim
from sensorflow.telemetry import Event

SLOTS = 512
SIZE = 1 << 16
"""Bytes reserved for the claims of a child. Only pages that are written use memory."""


@dataclass(frozen=True)
class Slot:
    """The state that a child reports. Times are those of `clock.now`; 0.0 if there is no such time.

    beat: when the child last ran any Python code. since: when it claimed its files. length: size of the
    pickled claims in bytes. reading: the id of the file that a decoder is reading; 0 if none. began: when
    this decoder started. until: when it must have returned. lost: when the child noticed that the lease of
    the file `reading` was lost.
    """

    pid: int = 0
    beat: float = 0.0
    since: float = 0.0
    until: float = 0.0
    reading: int = 0
    began: float = 0.0
    length: int = 0
    lost: float = 0.0


_SLOT = struct.Struct("=qdddqdqd")
_BEAT, _SINCE, _READING, _LENGTH, _LOST = 8, 16, 24, 48, 56
_CLAIMS = SLOTS * _SLOT.size
_EVENTS = _CLAIMS + SLOTS * SIZE
_EVENT_BYTES = 8 * len(Event)


class Board:
    """The shared memory, with a slot for each child. Created by the parent before it forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _EVENTS + SLOTS * _EVENT_BYTES)
        self._number: int | None = None

    def join(self, number: int) -> None:
        """Use the slot of this number from now on. Called in a child. No other living child of the pool may
        use this slot."""
        self._number = number % SLOTS
        slot = Slot(pid=os.getpid(), beat=now())
        _SLOT.pack_into(self._memory, self._number * _SLOT.size, *vars(slot).values())

    def event_counts(self, number: int) -> memoryview:
        """Returns the place in which the child of this number counts its log events, see
        `telemetry.count_into`. It is not emptied for another child, so the sum only grows."""
        begin = _EVENTS + number % SLOTS * _EVENT_BYTES
        return memoryview(self._memory)[begin : begin + _EVENT_BYTES].cast("Q")

    def events(self) -> list[int]:
        """Returns how many of each log event all children have emitted, by `Event.number`."""
        counts = [self.event_counts(number) for number, _ in self.slots()]
        return [sum(column) for column in zip(*counts, strict=True)] or [0] * len(Event)

    def beat(self) -> None:
        self._put(_BEAT, "=d", now())

    def hold(self, claims: Sequence[Claim]) -> None:
        """Record that the child has exactly these claims from now on; an empty sequence if it has none."""
        told = pickle.dumps(list(claims)) if claims and self._number is not None else b""
        if len(told) > SIZE:
            told = b""  # the claims stay unknown, and the lease expires
        if told and self._number is not None:
            start = _CLAIMS + self._number * SIZE
            self._memory[start : start + len(told)] = told
        self._put(_LENGTH, "=q", len(told))
        self._put(_SINCE, "=d", now() if claims else 0.0)

    def mark(self, file_id: int, seconds: float) -> None:
        """Record the file that a decoder is reading, see `deadlines.DeadlineWatcher`."""
        at = now()
        told = (at + seconds, file_id, at) if file_id else (0.0, 0, 0.0)
        self._put(_LOST, "=d", 0.0)
        self._put(_READING, "=dqd", *told)

    def lose(self, file_id: int) -> None:
        """Record that the lease of a file is lost, if a decoder is reading this file. Other work on the
        file ends by itself at its next block."""
        if self._number is not None and self._slot(self._number).reading == file_id:
            self._put(_LOST, "=d", now())

    def _put(self, place: int, how: str, *what: float) -> None:
        if self._number is not None:
            struct.pack_into(how, self._memory, self._number * _SLOT.size + place, *what)

    def busy(self, pids: Collection[int]) -> float:
        """Returns the number of seconds for which all of these children have been processing the same
        files. Returns 0.0 if one of them has no files."""
        since = {slot.pid: slot.since for _, slot in self.slots()}
        held = [since.get(pid, 0.0) for pid in pids]
        return now() - max(held) if held and all(held) else 0.0

    def facts(self, pids: Collection[int]) -> dict[str, int | None]:
        """Returns the heartbeat's facts about these children: `stopped` and `busy`, see
        `core.heartbeat.LoopReport`. A fact that does not apply is None."""
        stopped = sum(status(pid)[0] in ("T", "t") for pid in pids)
        return {"stopped": stopped or None, "busy": int(self.busy(pids) // 60) or None}

    def slots(self) -> list[tuple[int, Slot]]:
        """Returns the number and contents of each slot that was ever used, including slots of children that
        have ended."""
        heads = enumerate(_SLOT.iter_unpack(self._memory[:_CLAIMS]))
        return [(number, Slot(*head)) for number, head in heads if head[0]]

    def claims(self, number: int, pid: int) -> list[Claim]:
        """Returns the claims of a child that was just killed. Returns an empty list if another child
        already uses the slot, or if the child was killed while it was writing its claims."""
        slot = self._slot(number)
        start = _CLAIMS + number * SIZE
        held = self._memory[start : start + slot.length]
        if not slot.since or not held or (slot.pid, self._slot(number).pid) != (pid, pid):
            return []
        try:
            found: list[Claim] = pickle.loads(held)
        except Exception:  # noqa: BLE001 - half a pickle may raise anything
            return []
        return found

    def _slot(self, number: int) -> Slot:
        return Slot(*_SLOT.unpack_from(self._memory, number * _SLOT.size))
