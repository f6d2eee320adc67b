"""Runs tests on a real TimescaleDB: python tests/on_timescale.py ROOT [words for pytest]

ROOT: a Debian with PostgreSQL and TimescaleDB, as made by tools/timescale.sh. A server is started in it,
with data of its own, and ends with the tests. If the environment gives the URL of a server, the tests run
on that one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from hypertables import VARIABLE
from patience import PATIENCE

from sensorflow.embedded.process import Process, free_port

PROGRAMS = "/usr/lib/postgresql/17/bin"
USER = "sensorflow"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "sysv",  # no tmpfs is mounted there
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    # each database with the extension has a background worker of its own
    "timescaledb.max_background_workers": "40",
    "max_worker_processes": "60",
    "max_connections": "300",
    "max_locks_per_transaction": "256",
    "fsync": "off",
    "full_page_writes": "off",
    "log_min_messages": "warning",
}


@contextmanager
def server(root: Path) -> Iterator[str]:
    """The URL of the superuser of a server that runs until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="server-", dir=root / "tmp"))
    inside = f"/tmp/{folder.name}"
    uid, gid = owner = _postgres(root)
    word, port = secrets.token_hex(8), free_port()
    (folder / "password").write_text(word)
    folder.chmod(0o700)
    for path in (folder, folder / "password"):
        os.chown(path, *owner)
    as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    chroot = ["chroot", str(root), *as_user]
    try:
        login = ["-U", USER, f"--pwfile={inside}/password", "--auth=scram-sha-256"]
        options = ["--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [*chroot, f"{PROGRAMS}/initdb", "-D", f"{inside}/data", *login, *options],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        process = Process(
            "TimescaleDB",
            [
                # the kernel forgets the signal when the user changes: it is set by setpriv after that
                *(*chroot, "--pdeathsig", "QUIT", f"{PROGRAMS}/postgres", "-D", f"{inside}/data"),
                *("-p", str(port)),
                *(f"--{name}={value}" for name, value in SETTINGS.items()),
            ],
            folder / "log",
            stop=signal.SIGQUIT,  # nothing of it is kept
        )
        url = f"postgresql://{USER}:{word}@127.0.0.1:{port}/postgres"
        process.start()
        try:
            process.wait_for(lambda: _answers(url), PATIENCE)
            yield url
        finally:
            process.terminate(30)
    finally:
        shutil.rmtree(folder)


def _postgres(root: Path) -> tuple[int, int]:
    """uid and gid of the user of PostgreSQL in there."""
    for line in (root / "etc" / "passwd").read_text().splitlines():
        name, _, uid, gid, *_rest = line.split(":")
        if name == "postgres":
            return int(uid), int(gid)
    raise AssertionError(f"{root} has no user postgres")


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def tests(url: str, words: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", *words]
    return subprocess.run(command, env={**os.environ, VARIABLE: url}, check=False).returncode


def main() -> int:
    root, words = sys.argv[1], sys.argv[2:]
    if given := os.environ.get(VARIABLE):
        return tests(given, words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with server(Path(root)) as url:
        return tests(url, words)


if __name__ == "__main__":
    sys.exit(main())
