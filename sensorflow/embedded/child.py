"""Become a program that does not outlive its parent: python child.py PARENT SIGNAL UID GID CMD...

Run as a file, without the package: it only asks the kernel for a signal at the parent's death, after
having given up root (which would clear that wish), and becomes the program.
"""

import ctypes
import os
import sys


def main() -> None:
    parent, sign, uid, gid = (int(text) for text in sys.argv[1:5])
    if gid >= 0:
        os.setgroups([])
        os.setgid(gid)
    if uid >= 0:
        os.setuid(uid)
    ctypes.CDLL(None).prctl(1, sign, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execvp(sys.argv[5], sys.argv[5:])


main()
