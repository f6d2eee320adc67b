"""What a process has allocated is seen from outside, also of a forked child."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from elastic.heaps import Heap, environment, heap

OBJECTS, BYTES = 200_000, 20_000_000
PROGRAM = f"""
import os, sys
child = os.fork()
kept = []
for line in sys.stdin if child == 0 else ():
    kept += [bytes({BYTES} // 20) for _ in range(20)]
    kept += [object() for _ in range({OBJECTS})]
    print(flush=True)
if child:
    print(child, flush=True)
    os.wait()
"""


def test_allocations_of_a_forked_child_are_seen(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        before = recorded(tmp_path, pid, 1)
        print(file=process.stdin, flush=True)
        process.stdout.readline()
        after = recorded(tmp_path, pid, before.blocks + OBJECTS)
        process.stdin.close()
    assert after.blocks - before.blocks >= OBJECTS
    assert after.allocated - before.allocated >= BYTES


def recorded(project: Path, pid: int, blocks: int) -> Heap:
    """The first record with at least so many objects."""
    deadline = time.monotonic() + 60
    while (found := heap(project, pid)) is None or found.blocks < blocks:
        assert time.monotonic() < deadline, "no record"
        time.sleep(0.05)
    return found
