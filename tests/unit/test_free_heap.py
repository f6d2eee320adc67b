"""How much free memory the C library keeps, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

GROWTH = """
import sys
from sensorflow import memory
if sys.argv[1] == "limited":
    memory.limit_free_heap()
memory.resident()
before = memory.resident()
large = bytearray(24 << 20)  # glibc would take this size for its limits
del large
blocks = [None] * 200
for n in range(200):
    blocks[n] = bytearray(100_000)
for n in reversed(range(200)):  # from the end of the heap
    blocks[n] = None
print(memory.resident() - before >> 20)
"""


@pytest.mark.parametrize(("how", "least", "most"), [("limited", 0, 6), ("unlimited", 15, 30)])
def test_a_large_block_that_is_freed_does_not_raise_the_limits_of_the_heap(
    how: str, least: int, most: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, how], capture_output=True, text=True, check=True
    )
    assert least <= int(done.stdout) <= most
