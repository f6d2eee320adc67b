"""What the Python processes of a fleet have allocated, as they record it themselves."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROBE = Path(__file__).with_name("heap_probe")
FOLDER = "heaps"


@dataclass(frozen=True)
class Heap:
    """allocated: bytes of the C heap that are in use. blocks: number of Python's small objects and
    containers' parts."""

    allocated: int
    blocks: int


def environment(project: Path) -> dict[str, str]:
    """What a process needs in its environment in order to record its heap."""
    folder = project / FOLDER
    folder.mkdir(exist_ok=True)
    paths = [str(PROBE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"HEAP_PROBE_FOLDER": str(folder), "PYTHONPATH": os.pathsep.join(paths)}


def stop(project: Path) -> None:
    """End the recording in all processes. Their CPU time is then their own."""
    with suppress(FileNotFoundError):
        (project / FOLDER).rename(project / f"{FOLDER}.done")


def heap(project: Path, pid: int) -> Heap | None:
    """What a process recorded last; None if it does not record."""
    try:
        allocated, blocks = (project / FOLDER / str(pid)).read_text().split()
    except FileNotFoundError:
        return None
    return Heap(int(allocated), int(blocks))
