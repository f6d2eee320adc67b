"""Who is to blame where there is no memory or no thread: the host, or a file that has used up its share."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from patience import PATIENCE

from sensorflow import threads

OF_ITSELF = "RLIMIT_DATA"
OF_THE_HOST = "RLIMIT_AS"

FILLED = """
import mmap, resource, sys
from pathlib import Path
from sensorflow import threads
from sensorflow.errors import Transient

def used(name):
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) << 10

used_up = {"RLIMIT_DATA": "VmData", "RLIMIT_AS": "VmSize"}[sys.argv[1]]
which, least = getattr(resource, sys.argv[1]), used(used_up)
resource.setrlimit(which, (least + (1 << 20), resource.RLIM_INFINITY))

def why(error):
    lack = threads.exhaustion_in(error)
    assert lack is not None
    return bool(threads.host_refusal(lack))

found = []
try:
    threads.start(lambda: None)
except (Transient, MemoryError) as error:
    found.append(isinstance(error, Transient))
try:
    mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
except OSError as error:
    found.append(why(error))
try:
    bytes(64 << 20)
except MemoryError as error:
    found.append(why(error))
try:
    import threading
    threading.Thread(target=print).start()
except RuntimeError as error:
    found.append(why(error))
if used_up == "VmSize":  # else Python itself may find no words for it
    try:
        import datafusion
    except (ImportError, MemoryError) as error:
        found.append(why(error))
print(found)
"""


@pytest.mark.parametrize(("limit", "host"), [(OF_ITSELF, False), (OF_THE_HOST, True)])
def test_who_is_to_blame_is_found_by_what_others_would_be_given(limit: str, host: bool) -> None:
    command = [sys.executable, "-c", FILLED, limit]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert result.stdout == f"{[host] * (5 if host else 4)}\n"


def test_a_thread_that_arrow_cannot_have_is_no_fault_of_a_file() -> None:
    error = pa.ArrowException(
        "Unknown error: Failed to launch worker thread: Resource temporarily unavailable"
    )
    assert threads.exhaustion_in(error) is error
    assert threads.host_refusal(error) == "the host refuses a thread or a process"
