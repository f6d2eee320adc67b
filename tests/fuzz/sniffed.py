"""Spoiled files given to sniffing: it ends in a proposal or in a reason, and by what it proposes the file
can be read.

    python tests/fuzz/sniffed.py --seconds 60 [--seed 1] [--case 17]

A crash, a case of more than 10 s (of the processor), a proposal that is no valid profile, or one by which
reading ends in anything but readings or a reason is a finding: its input goes to .build/fuzz/, and the exit
code is 1. --case: run one case of a seed again.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from mutations import mutate
from seeds import cases

from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.sniff import sniff
from sensorflow.errors import UsageError
from sensorflow.flow.check import check
from sensorflow.flow.sniff import Proposal, validated_profile
from sensorflow.flow.time_limit import TimeLimitExceeded, time_limit

FOUND = Path(__file__).parents[2] / ".build" / "fuzz"
SLOW = 10.0
STAMPS = [f"2024-05-01T{hour:02}:00:00Z" for hour in range(12)]
NAMES = ("", "station_1.csv", "2024-05-01.csv", "data (3).csv.gz", "a{b}.txt")


def documents() -> list[bytes]:
    """JSON of kinds that readers are not asked for, but sniffing is."""
    valued = {"temp": {"value": 1.5, "unit": "C"}, "hum": {"value": "40", "unit": "%"}}
    series = [[t, i] for i, t in enumerate(STAMPS)]
    result = [
        {"device": {"id": "A"}, "ts": STAMPS[0], "measurements": valued},
        {"a": [{"ts": 1714521600, "v": 1}], "b": [{"ts": 1714521600, "v": 2}]},
        {"fields": ["time", "x y"], "data": series, "tags": {"{host}": "h"}},
        {"time": STAMPS, "x": list(range(12)), "units": {"time": "iso", "x": "m"}},
        {"body": {t: {"x.y": i, "['z']": i / 3} for i, t in enumerate(STAMPS)}},
        [{"metric": {"__name__": "up", "@id": i}, "values": series} for i in range(3)],
    ]
    return [json.dumps(each).encode() for each in result]


def tables() -> list[bytes]:
    wide = "".join(f"{t},A,{i},{i}.5 C,x{i % 3}\n" for i, t in enumerate(STAMPS))
    comma = "".join(f"0{i + 1}.05.2024;1.{i:03},5;-9999\n" for i in range(9))
    return [
        f"time,id,{{n}},~temp,temp unit\n{wide}".encode(),
        f"Datum;P;T [°C]\n{comma}".encode("cp1252"),
    ]


def case(seed: int, index: int) -> tuple[bytes, str]:
    rng = random.Random(f"{seed}:{index}:sniff")
    samples = [data for _, data in cases()] + documents() + tables()
    return mutate(rng.choice(samples), samples, rng), rng.choice(NAMES)


def run(data: bytes, name: str) -> str:
    """How it ended. Raises what must not be."""
    try:
        with time_limit(SLOW):
            guess = sniff(io.BytesIO(data), None, name, validated_profile)
    except UsageError as error:
        if not error.message or len(error.message.splitlines()) != 1:
            raise AssertionError(f"a reason of {error.message!r}") from error
        return "refused"
    profile = Proposal(guess.in_zone("Europe/Berlin", "")).profile()
    place = FilePath(name or "x", name or "x")
    with time_limit(SLOW):
        found = check(io.BytesIO(data), "x", ("sniffed", profile), place, Drift(), 5)
    if found.error is not None and not guess.todo:
        raise AssertionError(f"refused by what is proposed: {found.error.code.name}")
    if found.error is not None:
        return f"with TODO, then {found.error.code.name}"
    if not found.valid and not guess.todo and not guess.needs_zone:
        raise AssertionError("no reading, and nothing is said of that")
    return "with TODO" if guess.todo else "proposed"


def attempt(seed: int, index: int) -> tuple[str, str]:
    """(how it ended, what is wrong)."""
    data, name = case(seed, index)
    try:
        return run(data, name), ""
    except (Exception, TimeLimitExceeded) as error:  # noqa: BLE001 - what else there is, is found
        FOUND.mkdir(parents=True, exist_ok=True)
        (FOUND / f"sniff-{seed}-{index}.bin").write_bytes(data)
        ours = [
            f for f in traceback.extract_tb(error.__traceback__) if "/sensorflow/" in f.filename
        ]
        mark = f"{type(error).__name__} {ours[-1].name if ours else ''} {str(error)[:80]}"
        return mark, "".join(traceback.format_exception(error))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--case", type=int)
    given = parser.parse_args()
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    print(f"seed {given.seed}", flush=True)
    if given.case is not None:
        end, wrong = attempt(given.seed, given.case)
        print(wrong or end)
        return 1 if wrong else 0
    ends: collections.Counter[str] = collections.Counter()
    found: dict[str, int] = {}
    until, index = time.time() + given.seconds, 0
    while time.time() < until:
        end, wrong = attempt(given.seed, index)
        ends[end] += 1
        if wrong and end not in found:
            found[end] = index
            print(f"FOUND {end}: --seed {given.seed} --case {index}\n{wrong}", flush=True)
        index += 1
    for end, count in ends.most_common():
        print(f"  {count:8,}  {end}")
    print(f"{index:,} cases of sniffing, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
