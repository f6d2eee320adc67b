"""What a large file needed for one batch is kept for the next one, and no more than that."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ENOUGH = 300 << 20
"""Resident bytes below which nothing is given back: the next batch would ask for it again, page by page,
which costs a tenth of a large file's CPU."""

WORTH = 32 << 20
"""Bytes by which it must have grown since the last time: what is in use cannot be given back."""

MANY = 8
"""Batches of a file after which it was a large one."""

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_LARGE, _NEVER = 32 << 20, 1 << 30


def frugal() -> None:
    """One heap for all threads and for Arrow, which gives back nothing unless `lean` asks it to.

    To be called before Arrow is imported, and before there is a second thread. Does little where the C
    library is not glibc.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _NEVER)


class _WithoutPandas:
    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("this process does without pandas", name=name)


def without_pandas() -> None:
    """From now on this process finds no pandas, which pyarrow would import at its first conversion: a third
    of a second and 32 MB, for nothing. For workers and commands, not for what others import."""
    sys.meta_path.insert(0, _WithoutPandas())


def lean(batches: Iterable[T]) -> Iterator[T]:
    """The same, and where this process has become large, free memory goes back to the system.

    By itself the C library keeps whatever lies between pieces that are in use: 60 MB and more in a while.
    """
    number, least = 0, ENOUGH
    for batch in batches:
        number += 1
        yield batch
        if number > 1 and resident() > least:
            _give_back()
            least = max(ENOUGH, resident() + WORTH)
    if number > MANY:
        _give_back()


def resident() -> int:
    """Bytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _give_back() -> None:
    if _trim is not None:
        _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it; others do not need it
