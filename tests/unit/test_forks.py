"""A child that is forked while another thread logs."""

from __future__ import annotations

import os
import subprocess
import sys

from patience import PATIENCE

FORKED = """
import logging, os, signal, sys, threading, time
from sensorflow import lossy_stream, telemetry
from sensorflow.telemetry import Event, emit

lossy_stream.install()
telemetry.configure()
logging.basicConfig(stream=sys.stderr)
threading.Thread(target=lambda: emit(Event.DEFECT, reason="x" * 1_000_000)).start()
time.sleep(1.0)  # the pipe is full by then, and the thread waits with the locks
child = os.fork()
if not child:
    signal.alarm(45)
    emit(Event.RECONCILED, "info")
    logging.error("by the standard library")
    print("by print", file=sys.stderr)
    os._exit(0)
print(child, flush=True)
_, status = os.waitpid(child, 0)
print(status)
"""


def test_a_child_forked_while_a_thread_logs_can_log() -> None:
    command = [sys.executable, "-c", FORKED]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        out, err = parent.communicate(timeout=PATIENCE)
    assert out == "0\n"
    assert '"event": "reconciled"' in err
    assert "by the standard library" in err
    assert "by print" in err
    assert err.count("x") == 1_000_000  # once; the lines of others stand within
