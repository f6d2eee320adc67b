"""Commands as processes of their own, without a second of imports each: forks of one that has them.

For what a command does and says. That it starts from nothing is shown by the fleets and by `up`.
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
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = (
    *("celery.bin.celery", "kombu.transport.pyamqp", "kombu.transport.redis"),
    *("sqlalchemy.dialects.postgresql.psycopg", "sensorflow.adapters.postgres.migrate"),
    *("sensorflow.bootstrap", "sensorflow.cli.commands"),
)
_lock = threading.Lock()
_address: str | None = None


def run(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, timeout: float = 90
) -> subprocess.CompletedProcess[bytes]:
    """What `python -m *words` does, in a process and an environment of its own."""
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.settimeout(timeout)
        server.connect(_started())
        wanted = json.dumps({"words": list(words), "env": dict(env), "cwd": str(cwd)}).encode()
        header = f"{len(wanted):8}".encode()
        socket.send_fds(server, [header], [out.fileno(), err.fileno()])
        server.sendall(wanted)
        code = server.recv(16)
        assert code, "the process that has the imports ended"
        said = [os.pread(s.fileno(), os.fstat(s.fileno()).st_size, 0) for s in (out, err)]
    return subprocess.CompletedProcess(list(words), int(code), *said)


def _started() -> str:
    global _address
    with _lock:
        if _address is None:
            folder = tempfile.mkdtemp(prefix="warm-")
            address = f"{folder}/socket"
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(address)
            listening.listen(64)
            process = subprocess.Popen(
                [sys.executable, __file__, str(listening.fileno())],
                pass_fds=[listening.fileno()],
                stdin=subprocess.PIPE,  # ends with us, however we end, and the process with it
                cwd=ROOT,
                start_new_session=True,
            )
            listening.close()
            atexit.register(_end, process, folder)
            _address = address
    return _address


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


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
            client.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
            os._exit(0)
        client.close()
        streams.insert(0, os.open(os.devnull, os.O_RDONLY))
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(wanted["env"])
        os.chdir(wanted["cwd"])
        sys.argv[:] = wanted["words"]
        return


if __name__ == "__main__":
    sys.path[0] = ""  # as of -m
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()  # or the forks would copy all that they collect
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
