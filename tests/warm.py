"""Processes of their own, without a second of imports each: forks of one that has them.

For what commands, daemons and workers do and say. That they start from nothing is shown by `up`, by chaos
and by those fleets that ask for it.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from patience import PATIENCE

IMPORTS = (
    *("celery.bin.celery", "celery.fixups.django", "celery.app.control", "celery.app.events"),
    *("celery.app.log", "celery.apps.beat", "celery.apps.worker", "celery.concurrency.prefork"),
    *("celery.worker.autoscale", "celery.worker.consumer.delayed_delivery", "celery.worker.loops"),
    *("celery.worker.strategy", "kombu.transport.pyamqp", "kombu.transport.redis"),
    *("sqlalchemy.dialects.postgresql.psycopg", "sensorflow.adapters.postgres.migrate"),
    *("sensorflow.adapters.postgres.inspect", "sensorflow.adapters.postgres.batch_loading"),
    *("sensorflow.adapters.feeds.folder.growing", "sensorflow.adapters.feeds.folder.manifests"),
    *("sensorflow.adapters.feeds.folder.watch", "sensorflow.adapters.layers.local"),
    *("sensorflow.bootstrap", "sensorflow.cli.commands", "sensorflow.daemon"),
    *("sensorflow.core.formats.csv", "sensorflow.core.reshape", "sensorflow.flow.housekeeping"),
    *("sensorflow.flow.leases", "sensorflow.flow.process"),
    *("billiard.popen_fork", "billiard.sharedctypes", "billiard.synchronize", "cffi", "numpy.ma"),
    *("celery.app.amqp", "celery.app.routes", "dbm.dumb", "importlib.readers", "rich._emoji_codes"),
    *("pycparser.c_parser", "pydantic.type_adapter", "typer._adapters", "typer._click.decorators"),
    *("sensorflow.adapters.feeds.folder.backlog", "sensorflow.adapters.postgres.audit"),
    *("sensorflow.adapters.postgres.partitions", "sensorflow.adapters.postgres.reading_index"),
    *("sensorflow.adapters.queues.celery", "sensorflow.backup.make", "sensorflow.cli.drops"),
    *("sensorflow.cli.running", "sensorflow.embedded.flower", "sensorflow.engine.board"),
    *("sensorflow.engine.child", "sensorflow.engine.exporter", "sensorflow.engine.watchdog"),
    *("sensorflow.flow.audit", "sensorflow.flow.fleet_meter", "sensorflow.flow.retention"),
    *("sensorflow.flow.scaling", "sensorflow.status"),
)
"""What daemons, workers, beat and commands import sooner or later. Not `workers` itself, which
asks as it is imported which of Celery's commands runs."""
AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LANG", "LC_")
ENVIRON = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""As workers have it, for whom Arrow is imported too late here."""
ROOT = Path(__file__).resolve().parents[1]
FORK = Path(__file__).with_name("fork.py")
FORKING = """\
#!/bin/sh
test "$1" = -m && exec '{python}' -I -S '{fork}' '{address}' "$@"
exec '{python}' "$@"
"""
"""What is `sys.executable` in a process whose children are forks too."""
_lock = threading.Lock()
_addresses: dict[frozenset[tuple[str, str]], str] = {}
"""One for each environment of what starts."""


def run(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, timeout: float = PATIENCE
) -> subprocess.CompletedProcess[bytes]:
    """What `python -m *words` does, in a process and an environment of its own."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Process(words, env, cwd, out.fileno(), err.fileno(), timeout)
        code = process.wait(timeout)
        outputs = [os.pread(s.fileno(), os.fstat(s.fileno()).st_size, 0) for s in (out, err)]
    return subprocess.CompletedProcess(list(words), code, *outputs)


def up(folder: Path, env: Mapping[str, str], log: int) -> Process:
    """`sensorflow up`, all processes of which are forks. log: the file descriptor that it writes to."""
    return Process(["sensorflow", "up"], env, folder, log, log, with_children=True)


class Process:
    """What `subprocess.Popen` is, of `python -m *words` in a session of its own."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        out: int,
        err: int,
        timeout: float | None = None,
        with_children: bool = False,
    ) -> None:
        """out, err: file descriptors that it writes to. with_children: also what it starts by
        `sys.executable -m` is a fork, behind a process of `tests/fork.py`."""
        self.args = list(words)
        self.returncode: int | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.settimeout(timeout)
        self._server.connect(address := _started(_fixed(env)))
        python = str(Path(address).with_name("python")) if with_children else ""
        started = {"words": self.args, "env": dict(env), "cwd": str(cwd)}
        wanted = json.dumps({**started, "python": python, "tied": False}).encode()
        socket.send_fds(self._server, [f"{len(wanted):8}".encode()], [out, err])
        self._server.sendall(wanted)
        self.pid = int(self._received(8))

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._server.settimeout(timeout)
            try:
                self.returncode = int(self._received(8))
            except (TimeoutError, BlockingIOError) as error:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from error
            self._server.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _received(self, size: int) -> bytes:
        found = self._server.recv(size, socket.MSG_WAITALL)
        assert found, "the process that has the imports ended"
        return found


def _fixed(env: Mapping[str, str]) -> dict[str, str]:
    """What is read once, as a process starts."""
    found = {name: value for name, value in env.items() if name.startswith(AT_START)}
    if all(map(_only_adds, _paths(env))):
        found["PYTHONPATH"] = str(ROOT)  # a fork adds the others
    return found


def _paths(env: Mapping[str, str]) -> list[str]:
    return [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]


def _only_adds(path: str) -> bool:
    """Whether the imports are the same with this folder and without it."""
    others = any((Path(path) / name).exists() for name in ("sensorflow", "workers"))
    at_start = (Path(path) / "sitecustomize.py").exists()
    return not at_start and (not others or Path(path).resolve() == ROOT)


def _build_commands() -> None:
    """Build the parser of all commands, which takes a third of the CPU time of a short command."""
    import typer.main

    from sensorflow.cli import app, commands

    commands.register(app)
    typer.main.get_command = cache(typer.main.get_command)
    typer.main.get_command(app)


def _started(fixed: Mapping[str, str]) -> str:
    with _lock:
        key = frozenset(fixed.items())
        if key not in _addresses:
            folder = tempfile.mkdtemp(prefix="warm-")
            address = f"{folder}/socket"
            python = Path(folder, "python")
            python.write_text(FORKING.format(python=sys.executable, fork=FORK, address=address))
            python.chmod(0o755)
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(address)
            listening.listen(64)
            others = {k: v for k, v in os.environ.items() if not k.startswith(AT_START)}
            process = subprocess.Popen(
                [sys.executable, __file__, str(listening.fileno())],
                pass_fds=[listening.fileno()],
                stdin=subprocess.PIPE,  # ends with us, however we end, and the process with it
                env={**others, **ENVIRON, **fixed},
                cwd=folder,
                start_new_session=True,
            )
            listening.close()
            atexit.register(_end, process, folder)
            _addresses[key] = address
    return _addresses[key]


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


class _WithoutPandas:
    """As in workers: pyarrow would import it, for half a second of each start."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("nothing here needs pandas", name=name)


def _tell(client: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it was killed meanwhile
        client.sendall(b"%8d" % number)


def _end_with(client: socket.socket, child: int) -> None:
    """Wait until a process has ended, or kill it if the client has ended before."""
    ready, _, _ = select.select([client, os.pidfd_open(child)], [], [])
    if client in ready:
        os.kill(child, signal.SIGKILL)


def _serve(listening: socket.socket) -> None:
    """Returns in the forks that are to run a command, which is then in sys.argv."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        client, _ = listening.accept()
        if os.fork():
            client.close()
            continue
        listening.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        header, streams, *_ = socket.recv_fds(client, 8, 2)
        wanted = json.loads(client.recv(int(header), socket.MSG_WAITALL))
        child = os.fork()
        if child:
            for stream in streams:
                os.close(stream)
            _tell(client, child)
            if wanted["tied"]:
                _end_with(client, child)
            _tell(client, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            os._exit(0)
        client.close()
        os.setsid()
        streams.insert(0, os.open(os.devnull, os.O_RDONLY))
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(wanted["env"])
        time.tzset()
        sys.path[1:1] = [path for path in _paths(os.environ) if path not in sys.path]
        os.chdir(wanted["cwd"])
        sys.executable = wanted["python"] or sys.executable
        sys.argv[:] = wanted["words"]
        return


if __name__ == "__main__":
    sys.path[0] = ""  # as of -m
    gc.disable()  # nothing of what is imported is garbage
    sys.meta_path.insert(0, without := _WithoutPandas())
    for name in IMPORTS:
        importlib.import_module(name)
    sys.meta_path.remove(without)
    _build_commands()
    gc.freeze()  # or the forks would copy all that they collect
    gc.enable()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
