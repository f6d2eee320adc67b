"""Starts a program that gets a signal when its parent ends: python child.py PARENT SIGNAL UID GID CMD...

This file is run as a script, without the package. It drops root privileges, requests the kernel to send the
signal when the parent ends, and executes the program. The privileges are dropped first, because a later
change of the user would cancel the request.
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
        sys.exit("the parent process has ended")
    os.execvp(sys.argv[5], sys.argv[5:])


main()
