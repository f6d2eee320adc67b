"""Memory that a worker's parent shares with its children. Each child records there which files it holds."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sensorflow.flow.clock import now
from sensorflow.ports.claims import Claim

SLOTS = 512
SIZE = 1 << 16
"""Bytes reserved for the claims of a child. Only pages that are written use memory."""


@dataclass(frozen=True)
class Slot:
    """What a child says of itself. Times are of `clock.now`, 0.0 where there is nothing to tell.

    beat: when it last ran any Python. since: when it claimed. reading: the file that a decoder has, since
    `began`; it must have come back at `until`. length: of its claims, in bytes. lost: when the lease of
    the file that is read was found to be lost.
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


class Board:
    """Created by the parent before it forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _CLAIMS + SLOTS * SIZE)
        self._number: int | None = None

    def join(self, number: int) -> None:
        """In a child: use the slot of this number. No other living child of the pool may use it."""
        self._number = number % SLOTS
        slot = Slot(pid=os.getpid(), beat=now())
        _SLOT.pack_into(self._memory, self._number * _SLOT.size, *vars(slot).values())

    def beat(self) -> None:
        self._put(_BEAT, "=d", now())

    def hold(self, claims: Sequence[Claim]) -> None:
        """Record that the child holds exactly these claims from now on; an empty sequence for none."""
        told = pickle.dumps(list(claims)) if claims and self._number is not None else b""
        if len(told) > SIZE:
            told = b""  # the claims stay unknown, and the lease expires
        if told and self._number is not None:
            start = _CLAIMS + self._number * SIZE
            self._memory[start : start + len(told)] = told
        self._put(_LENGTH, "=q", len(told))
        self._put(_SINCE, "=d", now() if claims else 0.0)

    def mark(self, file_id: int, seconds: float) -> None:
        """See `deadlines.DeadlineWatcher`."""
        at = now()
        told = (at + seconds, file_id, at) if file_id else (0.0, 0, 0.0)
        self._put(_LOST, "=d", 0.0)
        self._put(_READING, "=dqd", *told)

    def lose(self, file_id: int) -> None:
        """The lease of a file is lost. What is not read now ends by itself, at its next block."""
        if self._number is not None and self._slot(self._number).reading == file_id:
            self._put(_LOST, "=d", now())

    def _put(self, place: int, how: str, *what: float) -> None:
        if self._number is not None:
            struct.pack_into(how, self._memory, self._number * _SLOT.size + place, *what)

    def busy(self, pids: Collection[int]) -> float:
        """Seconds for which each of these children has held the same files; 0.0 where one holds none."""
        since = {slot.pid: slot.since for _, slot in self.slots()}
        held = [since.get(pid, 0.0) for pid in pids]
        return now() - max(held) if held and all(held) else 0.0

    def slots(self) -> list[tuple[int, Slot]]:
        """Returns all slots that were ever used, with their numbers, including those of ended children."""
        heads = enumerate(_SLOT.iter_unpack(self._memory[:_CLAIMS]))
        return [(number, Slot(*head)) for number, head in heads if head[0]]

    def claims(self, number: int, pid: int) -> list[Claim]:
        """Returns the claims of a child that was just killed. Returns none if another child uses the slot
        by now, or if the child was killed while it was writing."""
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
