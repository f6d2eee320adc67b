"""What is dropped, phase by phase, and the truth about it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from chaos.generator import FIRST, HEAD, VERSIONS, Drop, Kind, Manifest, generate, kinds

GROWN = "grown"
"""The sensor of the file that grows, and its name."""


BATCHES = {Kind.REUSED: VERSIONS, Kind.BORROWED: 3}
"""Of the generator, where a kind is more than one."""


@dataclass
class GrowingManifest(Manifest):
    """With the readings of the file that grows."""

    lines: dict[int, float] = field(default_factory=dict)

    def readings(self) -> dict[str, dict[int, float]]:
        return super().readings() | {GROWN: dict(self.lines)}


class DroppedFiles:
    """Files of every kind in every phase; a name that is still in its folder is not used again."""

    def __init__(self, shared: Path, seed: int, files: int, phases: int, rows: int) -> None:
        self._shared = shared
        self._draw = random.Random(seed)
        self.manifest = GrowingManifest()
        self._each = files // phases
        wanted = [kind for _ in range(phases) for kind in self._kinds()]
        self._drops = generate(seed, wanted, rows, self.manifest)
        self._batches = sum(BATCHES.get(kind, 1) for kind in wanted) // phases
        self._held_back: list[Drop] = []

    def _kinds(self) -> list[Kind]:
        """Several large ones in each phase; none whose every reader dies, so that each burned attempt
        is known."""
        kinds_ = [Kind.GOOD if k is Kind.POISON else k for k in kinds(self._each, self._draw)]
        for _ in range(3):
            kinds_[kinds_.index(Kind.GOOD)] = Kind.LARGE
        return kinds_

    def phase(self, share: float = 1.0) -> None:
        """The next files, and lines for the one that grows. share: of a phase."""
        for _ in range(round(self._batches * share)):
            for drop in next(self._drops, []):
                self._held_back.append(drop)
        self.put_held()
        self.grow()

    def drop_all(self) -> None:
        for drops in self._drops:
            self._held_back += drops
        self.put_held()

    def grow(self) -> None:
        path = self._shared / "grow" / f"{GROWN}.csv"
        start = len(self.manifest.lines)
        with path.open("a") as stream:
            if not start:
                stream.write(HEAD)
            for number in range(start, start + 50):
                second, value = int(FIRST) + number, self._draw.uniform(-50, 50)
                self.manifest.lines[second] = value
                day, rest = divmod(number, 86400)
                at = f"2026-01-{day + 1:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"
                stream.write(f"{at},{GROWN},temperature,{value!r},degC\n")

    def put_held(self) -> None:
        held_back, self._held_back = self._held_back, []
        for drop in held_back:
            target = self._shared / drop.source / drop.name
            before = {(d.source, d.name) for d in self._held_back}
            if (drop.source, drop.name) in before or target.exists():
                self._held_back.append(drop)
                continue
            part = target.with_name(f"{drop.name}.part")
            part.write_bytes(drop.content)
            part.rename(target)

    @property
    def left(self) -> list[str]:
        """What nobody took yet."""
        waiting = [drop.name for drop in self._held_back]
        return waiting + [p.name for p in (self._shared / "plant").iterdir() if p.is_file()]
