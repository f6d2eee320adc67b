"""What `sensorflow sniff` proposes for real files, unedited but for the zone, against their accounts.

Right is a proposal that gives the same number of readings and keys, the same rejects, times, sums and
number of sensors. Names may differ: the files often do not say them. Where a person chose some of the
columns and the proposal reads these exactly and others too, the file is right as well, and counted apart.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile
from sensorflow.core.reading import read
from sensorflow.errors import Permanent, UsageError
from sensorflow.flow.check import Checked, check
from sensorflow.flow.sniff import guess
from sensorflow.flow.validate import scratch_file

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("SENSORFLOW_REAL_DATA", ROOT.parent / "shared" / "real-data"))
PROFILES = Path(__file__).parent / "profiles"
LEAST = 31
"""Files that must be right."""

COUNTS = ("valid", "rejected", "distinct", "sensors", "tmin", "tmax")


@dataclass
class Verdict:
    """wrong: what is not as expected. more: columns that the person left out. names: other differences."""

    wrong: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def line(self, name: str) -> str:
        word = "WRONG" if self.wrong else "more" if self.more else "right"
        also = [f"also {', '.join(self.more)}"[:120]] if self.more else []
        return f"{name:<48} {word:<6} " + "; ".join([*self.wrong, *also, *self.names])[:300]


def profile_of(name: str) -> Profile:
    from sensorflow import profiles

    return profiles.load(str(PROFILES / f"{name}.toml"))[1]


def zone_of(profile: Profile) -> str | None:
    """What a user gives as --zone: the zone of the profile that a person wrote, if it is a plain one."""
    zone = profile.time.zone if profile.time is not None else None
    text = getattr(zone, "constant", zone)
    return text if isinstance(text, str) else None


Parts = dict[str, tuple[int, float]]
"""type -> (number of its readings, their sum)"""


def readings(file: Path, profile: Profile) -> tuple[Checked, Parts]:
    """A dry run, and what each type holds."""
    place = FilePath(file.name, file.name)
    with file.open("rb") as stream:
        found = check(stream, file.name, ("sniffed", profile), place, Drift(), 5)
    parts: Parts = {}
    if found.error is not None:
        return found, parts
    with file.open("rb") as stream:
        for accepted in read(stream, profile, place, scratch_file, Drift()):
            bronze = accepted.bronze
            types = bronze["reading_type"].cast(pa.string()).to_pylist()
            values = bronze["value"].to_numpy()
            for kind in dict.fromkeys(types):
                mine = values[np.array([t == kind for t in types])]
                count, total = parts.get(kind, (0, 0.0))
                parts[kind] = (count + len(mine), total + float(mine.sum()))
    return found, parts


def judged(file: Path, wanted: dict[str, Any], reference: Profile) -> Verdict:
    try:
        profile = guess(file, zone_of(reference)).profile()
    except (UsageError, Permanent) as error:
        return Verdict([f"refused: {error}"])
    found, parts = readings(file, profile)
    if found.error is not None:
        return Verdict([f"its proposal refuses the file: {found.error}"])
    table, right = found.as_dict(), readings(file, reference)[1]
    verdict = Verdict(
        [f"{k}: {table[k]} is not {wanted[k]}" for k in COUNTS if table[k] != wanted[k]]
    )
    if not math.isclose(table["sum"], wanted["sum"], rel_tol=1e-6, abs_tol=1e-9):
        verdict.wrong.append("sum")
    more, less = _unmatched(parts, right), _unmatched(right, parts)
    differ = {text.partition(":")[0] for text in verdict.wrong}
    if more and not less and differ <= {"valid", "distinct", "sum"}:
        verdict = Verdict(more=more)
    elif less and differ:
        verdict.wrong += [
            f"{w} {', '.join(n)[:70]}" for w, n in (("not", less), ("but", more)) if n
        ]
    others = set(parts) - set(right) - set(more)
    if others:
        verdict.names.append(f"{len(others)} of {len(right)} types under other names")
    units = [k for k in right if k in parts and found.units[k] != wanted["units"][k]]
    verdict.names += [f"unit of {k}: {found.units[k]!r}" for k in units[:3]]
    return verdict


def _unmatched(mine: Parts, theirs: Parts) -> list[str]:
    """The types of `mine` that no type of `theirs` equals in number and sum."""
    unmatched = Counter((n, f"{s:.6g}") for n, s in theirs.values())
    left = []
    for kind, (n, s) in mine.items():
        key = (n, f"{s:.6g}")
        if unmatched[key]:
            unmatched[key] -= 1
        else:
            left.append(kind)
    return left


def run(names: list[str]) -> Iterator[tuple[str, Verdict]]:
    expected = json.loads((FOLDER / "expected.json").read_text("utf-8"))
    for name, wanted in sorted(expected.items()):
        if not names or any(n in name for n in names):
            yield name, judged(FOLDER / "files" / name, wanted, profile_of(name))


def main() -> int:
    found = list(run(sys.argv[1:]))
    for name, verdict in found:
        print(verdict.line(name))
    right = [v for _, v in found if not v.wrong]
    more = sum(bool(v.more) for v in right)
    print(
        f"sniff: {len(right)} of {len(found)} right; {more} of these with columns that a person left out"
    )
    return 0 if len(right) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
