"""Each Python process with this folder in PYTHONPATH records what it has allocated, once a second.

It ends when the folder for the records is gone. The resident size does not say what is in use: a heap keeps
what was freed. See `elastic.heaps`, which reads the records. Python imports this module at its start,
because of its name.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

FOLDER = os.environ.get("HEAP_PROBE_FOLDER")


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _record() -> None:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    path = f"{FOLDER}/{os.getpid()}"
    while True:
        blocks = sys.getallocatedblocks()
        found = mallinfo()
        try:
            with open(f"{path}.part", "w") as text:
                text.write(f"{found.uordblks + found.hblkhd} {blocks}")
            os.replace(f"{path}.part", path)
        except FileNotFoundError:
            return
        time.sleep(1.0)


def _start() -> None:
    threading.Thread(target=_record, daemon=True).start()


if FOLDER and os.path.isdir(FOLDER):
    os.register_at_fork(after_in_child=_start)
    _start()
