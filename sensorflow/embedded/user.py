"""Provides the system user as which the servers run if the stack runs as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

NAME = "sensorflow"


def server_user() -> tuple[int, int] | None:
    """Return (uid, gid) of the servers' user if this process runs as root, else None. Creates the user if
    it does not exist; if this fails, the user is `nobody`."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(NAME)
    except KeyError:
        found = _make()
    return found.pw_uid, found.pw_gid


def _make() -> pwd.struct_passwd:
    useradd = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if useradd is not None:
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", NAME]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return pwd.getpwnam(NAME)
    return pwd.getpwnam("nobody")
