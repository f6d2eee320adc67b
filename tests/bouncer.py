"""PgBouncer in front of a test's database, in any of its modes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from patience import PATIENCE

from sensorflow.embedded.process import Process, free_port
from sensorflow.embedded.user import server_user

CONFIG = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = {mode}
server_round_robin = {round_robin}
default_pool_size = {size}
"""


@contextmanager
def bouncer(
    database: str, folder: Path, mode: str, round_robin: int = 0, size: int = 40
) -> Iterator[str]:
    """The URL of a database behind a pooler with nothing but its mode set."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program, "PgBouncer is not installed: sh tools/pgbouncer.sh"
    url, port = urlsplit(database), free_port()
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    (folder / "users.txt").write_text(f'"{url.username}" "{url.password}"\n')
    given = {"mode": mode, "round_robin": round_robin, "size": size}
    (folder / "pgbouncer.ini").write_text(
        CONFIG.format(server=url.port, port=port, folder=folder, **given)
    )
    process = Process(
        "pgbouncer",
        [program, str(folder / "pgbouncer.ini")],
        folder / "pgbouncer.log",
        stop=signal.SIGINT,
        user=server_user(),
    )
    target = f"postgresql://{url.username}:{url.password}@127.0.0.1:{port}{url.path}"

    def answers() -> bool:
        try:
            psycopg.connect(target, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    process.start()
    try:
        process.wait_for(answers, PATIENCE)
        yield target
    finally:
        process.stop = signal.SIGTERM  # at once
        process.terminate(10)
