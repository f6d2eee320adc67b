"""Servers of a run that was killed while they were stopped or hung: the next start ends its own ones."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from sensorflow.adapters.host import has_ended, identity, status
from sensorflow.embedded.former import end_former
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.process import tree
from sensorflow.embedded.valkey import Valkey
from sensorflow.errors import UsageError


@pytest.fixture
def place() -> Iterator[Path]:
    """As root the servers run as a user that cannot enter pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="former-", dir="/tmp") as base:
        Path(base).chmod(0o711)
        place = Path(base, "place")
        place.mkdir(mode=0o755)
        yield place


def stop(server: Postgres | Valkey) -> str:
    """As a debugger, or a host that is short of memory, does it. Returns which process it is."""
    assert server.process.pid is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    return identity(server.process.pid)


@pytest.mark.parametrize("kind", [Postgres, Valkey])
def test_a_stopped_server_of_a_former_run_is_ended_and_keeps_neither_port_nor_data(
    place: Path, kind: type[Postgres] | type[Valkey]
) -> None:
    old = kind(place, place / "logs")
    old.start()
    write(old)
    process = stop(old)
    new = kind(place, place / "logs")
    try:
        assert has_ended(process)
        assert (new.former, new.moved, new.url) == ("", "", old.url)
        new.start()
        assert read(new) == 1
    finally:
        old.process.terminate(1)
        new.process.terminate(30)


def write(server: Postgres | Valkey) -> None:
    if isinstance(server, Postgres):
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1")
    else:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", 1)


def read(server: Postgres | Valkey) -> int:
    if isinstance(server, Postgres):
        with psycopg.connect(server.url) as connection:
            return int(connection.execute("TABLE kept").fetchall()[0][0])
    with redis.Redis.from_url(server.url) as client:
        return int(client.get("kept"))  # type: ignore[arg-type]


STUBBORN = "trap '' INT QUIT TERM; sleep 600 & true & exec sleep 600"
"""One child that lives, one that has ended and is not waited for."""


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_server_that_obeys_no_signal_is_killed_with_its_children(
    run: Callable[..., subprocess.Popen[bytes]],
) -> None:
    server = run("sh", "-c", STUBBORN)
    while sorted(status(pid)[0] for pid in tree(server.pid)) != ["S", "S", "Z"]:
        pass
    family = [identity(pid) for pid in tree(server.pid) if status(pid)[0] == "S"]
    result = end_former("Server", server.pid, (signal.SIGINT, signal.SIGQUIT), patience=0.1)
    assert all(map(has_ended, family))
    assert f"(pid {server.pid}) did not end at the first signal; SIGKILL ended it" in result


def test_a_process_that_is_not_ours_is_left_alone(
    place: Path, run: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A number is used again: after a boot, or by another container."""
    other = run("sleep", "600")
    Valkey(place, place / "logs")
    (place / "valkey-process").write_text(identity(other.pid).rpartition(" ")[0] + " 1")
    (place / "postgres").mkdir()
    (place / "postgres" / "postmaster.pid").write_text(f"{other.pid}\n{place / 'postgres'}\n")
    assert Valkey(place, place / "logs").former == Postgres(place, place / "logs").former == ""
    assert other.poll() is None


def test_a_server_that_cannot_be_ended_is_named(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., subprocess.Popen[bytes]]
) -> None:
    server = run("sleep", "600")

    def denied(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", denied)
        with pytest.raises(UsageError, match=f"`kill -9 {server.pid}` as its owner or as root"):
            end_former("Server", server.pid, (signal.SIGINT,))
