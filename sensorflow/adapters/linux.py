"""The few things that only the kernel can do for us."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent(sign: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel to send `sign` to this process when the thread that forked it ends (prctl(2)).

    parent: the pid that it should have; if that one is gone already, the signal comes at once.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sign, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), sign)
