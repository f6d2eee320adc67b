"""Files spoiled at random, under profiles drawn at random: each must end in readings or in a reason.

    python tests/fuzz/fuzz.py --seconds 600 [--seed 1] [--corpus folder] [--case 17] [--workers 2]

Any other exception, a crash, a reading of more than 10 s (of the processor), memory beyond 400 MB, or
an invariant that does not hold is a finding: its input and profile go to .build/fuzz/, and the exit
code is 1. --case: run one case of a seed again, in this process.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing as mp
import os
import queue
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from case import Case, InvariantViolated, Seeds, make, run
from seeds import cases

FOUND = Path(__file__).parents[2] / ".build" / "fuzz"
SLOW = 10.0
STUCK = 120.0
MEMORY = 400 << 10
"""Kilobytes by which a process may grow."""
ADDRESSES = 8 << 30
THOROUGH = 4
"""One case in so many is read in several ways."""


class TimeLimitExceeded(BaseException):
    """Not an Exception, so that no reader takes it for a broken file."""


@dataclass(frozen=True)
class Finding:
    index: int
    mark: str
    text: str


def late(signum: int, frame: FrameType | None) -> None:
    raise TimeLimitExceeded


def attempt(case: Case, index: int) -> tuple[str, Finding | None]:
    """(how it ended, what is wrong)."""
    thoroughly = index % THOROUGH == 0
    limit = SLOW * 4 if thoroughly else SLOW
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        end, error = run(case, thoroughly), None
    except (Exception, TimeLimitExceeded) as caught:  # noqa: BLE001 - what else there is, is found
        end, error = type(caught).__name__, caught
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    took = time.process_time() - began
    if error is None and took < limit:
        return end, None
    if error is None:
        return "Late", Finding(index, f"slow {case[0]['format']}", f"took {took:.1f} s")
    shown = "".join(traceback.format_exception(error))
    return end, Finding(index, _mark(error, case), shown)


def _mark(error: BaseException, case: Case) -> str:
    """Equal for the same defect, more or less."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if "/sensorflow/" in f.filename]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else ""
    what = str(error).split(";")[0][:60] if isinstance(error, InvariantViolated) else ""
    return " ".join((type(error).__name__, case[0]["format"], what or place))


def work(seed: int, first: int, step: int, seeds: Seeds, until: float, at: Any, out: Any) -> None:
    """Cases first, first + step, … until the time is over. at: the case under way, and since when."""
    os.nice(10)
    signal.signal(signal.SIGPROF, late)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for profile, data in seeds:
        attempt((profile, data, 0), 1)
    low = _peak()
    index = first
    while time.time() < until:
        at[0], at[1] = index, time.time()
        end, finding = attempt(make(seed, index, seeds), index)
        if finding is None and _peak() - low > MEMORY:
            grown = (_peak() - low) >> 10
            finding = Finding(index, "memory", f"the process has grown by {grown} MB")
        low = max(low, _peak() - MEMORY // 2)
        out.put((end, finding))
        index += step
    at[0] = -1


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Fuzzer:
    def __init__(self, seed: int, seeds: Seeds, workers: int, seconds: float) -> None:
        self.seed, self.seeds, self.workers = seed, seeds, workers
        self.began = time.time()
        self.until = self.began + seconds
        self.ends: collections.Counter[str] = collections.Counter()
        self.found: dict[str, int] = {}
        self.context = mp.get_context("spawn")
        self.out = self.context.Queue()

    def run(self) -> int:
        running = [self.start(first) for first in range(self.workers)]
        shown = self.began
        while any(process.is_alive() for process, _ in running) or not self.out.empty():
            self.collect()
            running = [self.watch(process, at) for process, at in running]
            if time.time() - shown >= 10:
                shown = time.time()
                print(self.line(), flush=True)
        print(self.line())
        for end, count in self.ends.most_common():
            print(f"  {count:8,}  {end}")
        for mark, count in sorted(self.found.items()):
            print(f"FOUND {count} times: {mark}")
        return 1 if self.found else 0

    def start(self, first: int) -> tuple[Any, Any]:
        at = self.context.Array("d", [first, time.time() + 30], lock=False)
        given = (self.seed, first, self.workers, self.seeds, self.until, at, self.out)
        process = self.context.Process(target=work, args=given, daemon=True)
        process.start()
        return process, at

    def collect(self) -> None:
        """What the workers have told, for a while."""
        patience = time.time() + 0.5
        while time.time() < patience:
            try:
                end, finding = self.out.get(timeout=0.1)
            except queue.Empty:
                continue
            self.ends[end] += 1
            if finding is not None:
                self.note(finding)

    def watch(self, process: Any, at: Any) -> tuple[Any, Any]:
        """Replace a worker that died or hangs: the case that it was at is a finding."""
        index = int(at[0])
        if process.is_alive() and time.time() - at[1] > STUCK:
            process.kill()
            process.join()
        if process.is_alive() or index < 0 or process.exitcode == 0:
            return process, at
        self.ends["crash"] += 1
        self.note(Finding(index, "crash or hang", f"the process ended with {process.exitcode}"))
        return self.start(index + self.workers)

    def note(self, finding: Finding) -> None:
        self.found[finding.mark] = self.found.get(finding.mark, 0) + 1
        if self.found[finding.mark] == 1:
            profile, data, policy = make(self.seed, finding.index, self.seeds)
            FOUND.mkdir(parents=True, exist_ok=True)
            stem = FOUND / f"{self.seed}-{finding.index}"
            stem.with_suffix(".bin").write_bytes(data)
            about = {"profile": profile, "policy": policy, "mark": finding.mark}
            stem.with_suffix(".json").write_text(json.dumps(about, indent=1))
            stem.with_suffix(".txt").write_text(finding.text)
            print(f"FOUND {finding.mark}: {stem}.json", flush=True)

    def line(self) -> str:
        took, count = time.time() - self.began, self.ends.total()
        rate = count / max(took, 1e-9)
        return f"{took:5.0f} s  {count:,} cases, {rate:,.0f}/s, {len(self.found)} findings"


def corpus(folder: Path | None) -> Seeds:
    """Every sample, and every small file of a folder under each of the profiles."""
    seeds = cases()
    if folder is not None:
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".toml")
        samples = [p.read_bytes()[: 1 << 16] for p in files]
        seeds += [(profile, data) for data in samples for profile, _ in cases()]
    return seeds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("--case", type=int)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    seeds = corpus(given.corpus)
    if given.case is None:
        return Fuzzer(given.seed, seeds, given.workers, given.seconds).run()
    signal.signal(signal.SIGPROF, late)
    end, finding = attempt(make(given.seed, given.case, seeds), given.case)
    print(finding.text if finding else end)
    return 1 if finding else 0


if __name__ == "__main__":
    sys.exit(main())
