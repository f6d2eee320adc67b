"""Starts a program that ends with its parent: python child.py PARENT SIGNAL UID GID CMD...

This file is run as a script, without the package. It drops root privileges, tells the kernel to send the
signal when the parent dies, and executes the program. Privileges are dropped first, because dropping them
cancels that request.
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
