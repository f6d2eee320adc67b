"""One side: a project of its own, taken through all steps by the code that PYTHONPATH names.

Nothing of the product is imported here: it is driven as people drive it, and read from outside.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from former_names import variables_for, words_for
from same import state
from same.steps import (
    Age,
    Dump,
    GrowFile,
    Messages,
    PutFile,
    RemoveData,
    RunCommand,
    Start,
    Step,
    Stop,
    WaitCondition,
    WaitForGarbageCollection,
    WaitUntilIdle,
)

PATIENCE = 120.0
"""Seconds that a step may take on any machine."""
COMMANDS = {
    "daemon": ("sensorflow", "watch"),
    "worker": ("sensorflow", "worker", "-c", "1"),
    "beat": ("celery", "-A", "workers", "beat", "--loglevel=INFO", "--pidfile=beat.pid"),
}
_UNTIDY = """
SELECT count(*) FROM files
 WHERE NOT tidy AND collected_for IS DISTINCT FROM finished_at AND state NOT IN ('pending', 'running')
"""
_LEFT = "SELECT count(*) FROM files WHERE state IN ('pending', 'running')"


@dataclass(frozen=True)
class TreeUnderTest:
    """tree: its code. url, broker: an empty database, and an empty Valkey."""

    tree: Path
    project: Path
    url: str
    broker: str
    steps: list[Step]


@dataclass
class RunRecord:
    """What was seen on the way: states by label, messages by label, commands in their order."""

    states: dict[str, state.State] = field(default_factory=dict)
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    """The exit codes of processes."""
    times: list[float] = field(default_factory=list)
    """Seconds of each step."""
    seconds: float = 0.0


class Driver:
    def __init__(self, side: TreeUnderTest) -> None:
        self._side = side
        self._drop = side.project / "drop"
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")},
            "SENSORFLOW_DATABASE_URL": side.url,
            "SENSORFLOW_BROKER_URL": side.broker,
            "SENSORFLOW_CONFIG": str(side.project / "sensorflow.toml"),
            "COLUMNS": "160",
            "TERM": "dumb",
            "PWD": str(side.project),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0
        self._database = state.connect(side.url)
        self._redis = redis.Redis.from_url(side.broker)
        self._run = _warm(side.tree)
        self._seen = state.SeenParquetFiles()
        self.record = RunRecord()

    def go(self) -> RunRecord:
        began = time.monotonic()
        try:
            for number, step in enumerate(self._side.steps):
                at = time.monotonic()
                try:
                    self._take(step)
                    self.record.times.append(time.monotonic() - at)
                except Exception as error:
                    shown = repr(step)[:300]
                    raise AssertionError(
                        f"step {number}: {shown}\n{error}\n{self._logs()}"
                    ) from error
        finally:
            for name in list(self._running):
                self._stop(name)
            self._database.close()
            self._redis.close()
        self.record.seconds = time.monotonic() - began
        return self.record

    def _take(self, step: Step) -> None:
        match step:
            case PutFile():
                self._put(step)
            case GrowFile():
                self._grow(step)
            case Start():
                self._start(step)
            case Stop(process):
                self._stop(process)
            case WaitUntilIdle():
                self._quiet()
            case WaitForGarbageCollection():
                self._until(lambda: self._count(_UNTIDY) == 0)
            case Messages(label, least):
                self._until(lambda: state.waiting(self._redis) >= least)
                self.record.messages[label] = state.messages(self._redis)
            case RunCommand():
                self._command(step)
            case Age(source, seconds):
                self._database.execute(
                    "UPDATE files SET finished_at = finished_at - make_interval(secs => %s)"
                    " WHERE source = %s",
                    [seconds, source],
                )
            case RemoveData(glob):
                found = sorted((self._side.project / "data").glob(glob))
                assert found, f"nothing to lose: {glob}"
                _remove(found[0])
            case Dump(label):
                data = self._side.project / "data"
                self.record.states[label] = state.of_project(self._database, data, self._seen)

    def _put(self, put: PutFile) -> None:
        path = self._drop / put.source / put.name
        path.parent.mkdir(parents=True, exist_ok=True)
        existed, arrivals = path.exists(), self._count("SELECT count(*) FROM arrivals")
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(put.content)
        os.utime(part, (put.mtime, put.mtime))
        part.rename(path)
        if put.until is WaitCondition.NOTHING:
            return
        if existed:
            self._until(lambda: self._count("SELECT count(*) FROM arrivals") > arrivals)
        else:
            self._until(lambda: not path.exists())
        if put.until is WaitCondition.FINISHED:
            self._quiet()

    def _grow(self, grow: GrowFile) -> None:
        arrivals = self._count("SELECT count(*) FROM arrivals")
        path = self._drop / grow.source / grow.name
        daemon = self._running["daemon"]
        daemon.send_signal(signal.SIGSTOP)
        try:
            with path.open("r+b" if path.exists() else "wb") as stream:
                stream.seek(grow.offset)
                stream.write(grow.content)
            os.utime(path, (grow.mtime, grow.mtime))
        finally:
            daemon.send_signal(signal.SIGCONT)
        self._until(lambda: self._count("SELECT count(*) FROM arrivals") > arrivals)
        self._quiet()

    def _start(self, start: Start) -> None:
        with (self._side.project / f"{start.process}.log").open("ab") as log:
            self._running[start.process] = subprocess.Popen(
                [sys.executable, "-m", *COMMANDS[start.process]],
                env={**self._env, **variables_for(self._side.tree, start.env)},
                cwd=self._side.project,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if start.process != "daemon":
            return
        # its folders are watched from then on: what is renamed into them is seen at once
        self._starts += 1
        self._until(lambda: self._log("daemon").count("daemon.started") >= self._starts)

    def _log(self, process: str) -> str:
        return (self._side.project / f"{process}.log").read_text(errors="replace")

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            self.record.ends[f"{name} {len(self.record.ends)}"] = process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def _command(self, run: RunCommand) -> None:
        words = words_for(self._side.tree, run.words)
        done = self._run(["sensorflow", *words], self._env, self._side.project)
        output: dict[str, Any] = {"exit code": done.returncode, "stderr": done.stderr.decode()}
        out = done.stdout.decode()
        documents = _documents(out) if run.json else None
        if documents is None:
            output["stdout"] = out
        else:
            output["json"] = documents
        name = " ".join(run.words)
        self.record.commands[f"{len(self.record.commands):03} {name}"] = output
        if run.quiet:
            self._quiet()

    def _quiet(self) -> None:
        self._until(lambda: self._count(_LEFT) == 0)

    def _count(self, query: str) -> int:
        row = self._database.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(row[0])

    def _until(self, done: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            for name, process in self._running.items():
                assert process.poll() is None, f"{name} has ended with {process.returncode}"
            assert time.monotonic() < deadline, f"not done after {PATIENCE} s"
            time.sleep(0.02)

    def _logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-12:])
            for path in sorted(self._side.project.glob("*.log"))
        )


def _documents(text: str) -> list[Any] | None:
    """One JSON document, or one a line; None where it is none."""
    import json

    with suppress(ValueError):
        return [json.loads(text)]
    with suppress(ValueError):
        return [json.loads(line) for line in text.splitlines()]
    return None


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _warm(tree: Path) -> Any:
    """`warm.run` of the side's own tree: forks of a process that has its code."""
    spec = importlib.util.spec_from_file_location("same_warm", tree / "tests" / "warm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run


def main() -> None:
    given, out = map(Path, sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started here ends with it
    side: TreeUnderTest = pickle.loads(given.read_bytes())
    out.write_bytes(pickle.dumps(Driver(side).go()))


if __name__ == "__main__":
    from same import side as module  # not as __main__: what is pickled has its own name

    module.main()
