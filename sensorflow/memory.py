"""Reduces the memory of a process: configures the heap, and returns free memory to the system."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_STATM = Path("/proc/self/statm")

RESIDENT_FLOOR_BYTES = 300 << 20
"""Resident size in bytes up to which a process returns no memory to the system. Otherwise the next batch
would need the returned memory again, and the page faults would take a tenth of the CPU time of a large
file."""

TRIM_STEP_BYTES = 32 << 20
"""After memory was returned, the process must grow by this number of bytes before memory is returned
again. Otherwise a process that uses much memory would try after every batch, although memory that is in use
cannot be returned."""

LARGE_FILE_BATCHES = 8
"""After a file with more batches than this, memory is returned to the system even if the process is
small."""

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_LARGE, _NEVER = 32 << 20, 1 << 30
_SEPARATE_BYTES, _FREE_BYTES = 2 << 20, 4 << 20


def configure_allocator() -> None:
    """Configure one heap for all threads and for Arrow. The heap returns memory to the system only when
    `trimming_heap` requests it.

    Call this function before Arrow is imported and before a second thread starts. If the C library is not
    glibc, only the memory pool of Arrow is configured.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _NEVER)


def limit_free_heap() -> None:
    """Make the heap return free memory to the system whenever more than 4 MiB at its end are free.

    Call this in a process that runs for long and does not use `trimming_heap`. A later call of
    `configure_allocator` would undo it.

    By default, glibc raises this limit with each larger block that is freed, such as an outgrown table of
    the interpreter. The process then retains more free memory the longer it runs.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_MMAP_THRESHOLD, _SEPARATE_BYTES)
        mallopt(_TRIM_THRESHOLD, _FREE_BYTES)


class _WithoutPandas:
    """An import hook that raises ModuleNotFoundError for pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is disabled in this process", name=name)


def without_pandas() -> None:
    """Prevent the import of pandas in this process. Otherwise pyarrow would import pandas when it first
    converts a value, although it does not need pandas.

    The import would take a third of a second and 32 MB. Call this function in workers and commands, but not
    if sensorflow is used as a library.
    """
    sys.meta_path.insert(0, _WithoutPandas())


def trimming_heap(batches: Iterable[T]) -> Iterator[T]:
    """Yield the batches unchanged. Between two batches, return free memory to the system if this process
    is larger than `RESIDENT_FLOOR_BYTES`.

    Without this, the C library would retain 60 MB or more of free memory between blocks that are in use.
    """
    number, least = 0, RESIDENT_FLOOR_BYTES
    for batch in batches:
        number += 1
        yield batch
        if number > 1 and resident() > least:
            trim_heap()
            least = max(RESIDENT_FLOOR_BYTES, resident() + TRIM_STEP_BYTES)
    if number > LARGE_FILE_BATCHES:
        trim_heap()


def resident() -> int:
    """Return the resident size of this process in bytes; 0 if unknown."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def trim_heap() -> None:
    """Return free memory of the heap to the system, also between blocks that are in use."""
    if _trim is not None:
        _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has and needs it
