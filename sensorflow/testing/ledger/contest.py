"""The contest of `adapters/postgres/contest.py` for the ledger in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.events import FileEvent
from sensorflow.core.keys import keys
from sensorflow.core.readings import KEY
from sensorflow.core.states import State
from sensorflow.flow.work import whole_source
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load
from sensorflow.testing.ledger.file import File

Mask: TypeAlias = "npt.NDArray[np.bool_]"

if TYPE_CHECKING:
    from sensorflow.testing.ledger.ledger import MemoryLedger


@dataclass
class Contest:
    """Which of a file's readings it is to hold. lost, taken: other file -> number of readings."""

    ledger: MemoryLedger
    file: File
    load: Load
    lost: Counter[int] = field(default_factory=Counter)
    taken: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        arrival, load = self.file.arrival, self.load
        shared = whole_source(arrival.source, load.identity)
        by_name = load.on_change is OnChange.MERGE and not shared
        by_content = bool(load.identity) and not (load.name_matters or shared)
        part = self.file.part
        by_content = by_content and part is None
        others = [f for f in self.ledger.all_files() if f.arrival.source == arrival.source]
        others = [f for f in others if f.id != self.file.id]
        if part is not None:
            others = [f for f in others if f.part is None or f.part.root != part.root]
        self.same_name = by_name * [f for f in others if f.name == self.file.name]
        self.same_bytes = by_content * [
            f
            for f in others
            if f.arrival.landed.sha256 == arrival.landed.sha256
            and f.name != self.file.name
            and f.part is None
        ]

    def decide(self, silver: pa.RecordBatch, own: pa.Array) -> tuple[pa.RecordBatch, pa.Array]:
        lost = np.zeros(len(silver), np.bool_)
        named = own.to_pylist()
        self._yield(named, {f.id: f.id for f in self.same_name}, lost)
        self._take(named, {f.id for f in self.same_name})
        before = lost.copy()
        for old in self.same_name:  # loaded with on_change = "keep", by keys of its own
            if old.id < self.file.id and old.identity not in ("", self.load.identity):
                made = self._made(silver, old)
                self._take([k for k, gone in zip(made, before, strict=True) if not gone], {old.id})
        for other in self.same_bytes:
            made = self._made(silver, other)
            self._yield(made, {other.id: other.id}, lost)
            self._take([k for k, gone in zip(made, before, strict=True) if not gone], {other.id})
        for holder, states in self._holding_for():
            self._yield(self._made(silver, holder), {holder.id: states}, lost)
        kept = pa.array(~lost)
        return silver.filter(kept), own.filter(kept)

    def _made(self, silver: pa.RecordBatch, other: File) -> list[bytes]:
        return keys(silver, other.identity).to_pylist() if other.identity else []

    def _holding_for(self) -> list[tuple[File, int]]:
        """Files under other names that hold what newer versions of this name state."""
        newer = [f for f in self.same_name if f.version > self.file.version and f.replaced]
        name, source = self.file.name, self.file.arrival.source
        return [
            (holder, states.id)
            for states in newer
            for holder in self.ledger.all_files()
            if (holder.arrival.source, holder.arrival.landed.sha256)
            == (source, states.arrival.landed.sha256)
            and holder.name != name
        ]

    def _yield(self, made: list[bytes], states: dict[int, int], lost: Mask) -> None:
        for place, key in enumerate(made):
            holder = self.ledger.rows.get(key, (0, 0.0))[0]
            if holder > self.file.id and holder in states and not lost[place]:
                self.lost[states[holder]] += 1
                lost[place] = True

    def _take(self, made: list[bytes], ids: set[int]) -> None:
        for key in made:
            holder, value = self.ledger.rows.get(key, (0, 0.0))
            if holder in ids and holder < self.file.id:
                del self.ledger.rows[key]
                self.taken[holder] += 1
                file = self.ledger.file_of(holder)
                gone = checksum(pa.array([key], KEY), pa.array([value]))
                file.checksum = ((file.checksum or 0) - gone) % MODULUS

    def settle(self) -> None:
        """Keep the accounts of the files that have lost readings, or whose readings were returned."""
        ledger, me = self.ledger, self.file
        for pair in [pair for pair in ledger.replacements if pair[0] == me.id]:
            del ledger.replacements[pair]
        for holder, rows in self.lost.items():
            ledger.replacements[me.id, holder] += rows
        stale = [] if all(self._same(holder) for holder in self.lost) else [me]
        for old, rows in self.taken.items():
            file = ledger.file_of(old)
            file.replaced, file.tidy = file.replaced + rows, False
            ledger.replacements[old, me.id] += rows
            ledger.note(
                file, FileEvent.REPLACED, rows=rows, why=f"by version {me.version}, file {me.id}"
            )
            stale += [] if self._same(old) else [file]
        for file in stale:
            ledger.reevaluate(file.id, me.name)
            ledger.pass_on(file)

    def _same(self, other: int) -> bool:
        found = self.ledger.file_of(other).arrival.landed.sha256
        return found == self.file.arrival.landed.sha256


def cover(ledger: MemoryLedger, covered: tuple[int, ...], by: int, why: str) -> int:
    """Supersede versions that never were loaded and whose bytes a newer one begins with."""
    done = 0
    for old in (ledger.file_of(number) for number in covered):
        if old.state in (State.PENDING, State.QUARANTINED) and old.previous is None:
            ledger.supersede(old, why)
            ledger.replacements[old.id, by] = 0
            done += 1
    return done
