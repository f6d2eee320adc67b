"""Logs of programs that append by themselves stay bounded, lose nothing, and are shown in order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sensorflow.cli.loglines import LogTail, merged, parsed
from sensorflow.embedded import logs

WRITER = r"""
import os, sys, time
for n in range(30000):
    if n % 500 == 0: time.sleep(0.01)
    os.write(1, b"%s %06d " % (sys.argv[1].encode(), n) + b"y" * (n % 40) + b"\n")
"""
MOST = 100_000


def cuts(folder: Path) -> bool:
    """Whether the disk can cut a head off a file."""
    probe = folder / "probe"
    probe.write_bytes(bytes(1 << 20))
    with probe.open("r+b") as stream:
        return logs._collapsed(stream.fileno(), 1 << 19)


def text(path: Path) -> bytes:
    return b"".join(part.read_bytes() for part in logs.older(path))


def test_nothing_is_lost_while_two_programs_append(tmp_path: Path) -> None:
    """As a worker's parent and children do: each with a descriptor of its own, never told of it."""
    path = tmp_path / "worker.log"
    tail = LogTail(path)
    with path.open("ab") as log:
        command = [sys.executable, "-c", WRITER]
        writers = [subprocess.Popen([*command, name], stdout=log) for name in ("a", "b")]
    turns, followed = 0, []
    while any(writer.poll() is None for writer in writers):
        turns += logs.rotate(path, MOST, 1000)
        followed += tail.new()
        time.sleep(0.005)
    followed += tail.new()
    assert turns > 0
    lines = text(path).decode().splitlines()
    if not cuts(tmp_path):  # tmpfs, say: a line of the instant of emptying may be gone, no more
        assert len(lines) >= 60000 - 2 * turns
        return
    for name in ("a", "b"):
        mine = [line.split()[1] for line in lines if line.startswith(name)]
        assert mine == [f"{n:06}" for n in range(30000)], name
    assert [line.text for line in followed] == [
        line.rstrip() for line in lines
    ]  # whoever follows sees each of them too


def test_older_files_are_bounded_and_the_newest_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    with path.open("ab") as log:
        for number in range(12):
            log.write(b"%d " % number * 40_000)
            log.flush()
            logs.rotate(path, 65_536, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "daemon.log",
        *(f"daemon.log.{n}" for n in (1, 2, 3)),
    ]
    assert path.stat().st_size < 65_536
    assert text(path).endswith(b"11 " * 100)
    logs.rotate(path, 1, 1)  # fewer are wanted by now
    assert sorted(p.name for p in tmp_path.iterdir()) == ["daemon.log", "daemon.log.1"]


def test_a_disk_that_cuts_no_head_off_is_copied_and_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Path("/dev/shm") / f"sensorflow-test-{os.getpid()}"
    memory.mkdir()
    try:
        path = memory / "beat.log"
        with path.open("ab") as log:
            log.write(b"".join(b"%07d\n" % n for n in range(20_000)))
            log.flush()
            assert logs.rotate(path, MOST, 5)
            log.write(b"after\n")
        assert path.read_bytes() == b"after\n"
        assert text(path).count(b"\n") == 20_001
    finally:
        for part in memory.iterdir():
            part.unlink()
        memory.rmdir()


@pytest.mark.parametrize(
    ("line", "at", "expected"),
    [
        (
            '{"file": "a b", "event": "lease.lost", "level": "info", "timestamp": "2026-11-28T03:42:46Z"}',
            "2026-11-28T03:42:46+00:00",
            'INFO lease.lost file="a b"',
        ),
        (
            "2026-11-28 03:42:41.940 UTC [7] LOG:  shutting down",
            "2026-11-28T03:42:41.940000+00:00",
            "[7] LOG:  shutting down",
        ),
    ],
)
def test_lines_with_a_zone_are_read_as_they_say(line: str, at: str, expected: str) -> None:
    assert parsed(line) == (datetime.fromisoformat(at), expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "[2026-11-28 12:00:00,500: INFO/MainProcess] Task x received",
            "INFO MainProcess: Task x received",
        ),
        ("13501:M 28 Nov 2026 12:00:00.500 * Ready", "[13501:M] * Ready"),
        ("[W 261128 12:00:00 inspector:98] failed", "WARNING inspector:98: failed"),
    ],
)
def test_lines_without_a_zone_are_of_this_one(line: str, expected: str) -> None:
    at, text = parsed(line)
    assert text == expected
    assert at is not None
    assert f"{at.astimezone():%Y-%m-%d %H:%M:%S}" == "2026-11-28 12:00:00"


def test_logs_come_in_the_order_of_time_and_tracebacks_stay_whole(tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_text(
        "banner\n"
        '{"event": "one", "level": "info", "timestamp": "2026-01-01T00:00:01Z"}\n'
        "Traceback\n  deep\n"
        '{"event": "four", "level": "info", "timestamp": "2026-01-01T00:00:04Z"}\n'
    )
    (tmp_path / "postgres.log.1").write_text("2026-01-01 00:00:02.000 UTC [7] LOG:  tw")
    (tmp_path / "postgres.log").write_text("o\n2026-01-01 00:00:03.000 UTC [7] LOG:  three\n")
    tails = [LogTail(tmp_path / f"{name}.log") for name in ("worker", "postgres", "valkey")]
    texts = [line.text for line in merged(tails)]
    assert texts == [
        *("banner", "INFO one", "Traceback", "  deep"),
        *("[7] LOG:  two", "[7] LOG:  three", "INFO four"),
    ]
    last = list(merged([LogTail(tmp_path / "worker.log")], 1))
    assert last[-1].at == datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC)
