"""Whether a disk has room for what is registered, and for the next file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from samples import arrival

from sensorflow.cli import disk_space
from sensorflow.core.disk_room import Unloaded, Writes, needed, reserve
from sensorflow.core.heartbeat import Heartbeat, LoopReport, Role
from sensorflow.errors import Code, Transient
from sensorflow.flow.fleet_samples import room_samples
from sensorflow.flow.intake.room import Room
from sensorflow.ports.intake import OnChange
from sensorflow.settings import Settings
from sensorflow.settings.storage import Storage
from sensorflow.testing.ledger import MemoryLedger

GIB = 1 << 30


def test_the_reserve_is_a_hundredth_of_the_disk_and_a_gibibyte_at_most() -> None:
    assert reserve(50 * GIB, None) == GIB // 2
    assert reserve(5000 * GIB, None) == GIB
    assert reserve(50 * GIB, 7) == 7


def test_a_landed_file_needs_room_for_its_readings_only() -> None:
    writes = Writes(landed=1, row=30)
    assert writes.ahead(400, None) == 400 + 10 * 30
    assert needed([Unloaded("a", 400), Unloaded("b", 100, 0.5)], writes) == 10 * 30 + 50 * 30


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def room(folder: Path, min_free: int, ledger: MemoryLedger, clock: Clock) -> Room:
    settings = Settings.model_validate(
        {"home": folder, "database_url": "postgresql://x/y", "min_free": min_free}
    )
    return Room(settings, ledger, clock)


def add(ledger: MemoryLedger, size: int) -> None:
    given = arrival()
    ledger.register(replace(given, landed=replace(given.landed, size=size)), OnChange.MERGE, False)


def is_short(found: Room) -> bool:
    try:
        found.require()
    except Transient as error:
        return error.code is Code.DISK_RESERVE
    return False


def test_what_is_registered_counts_and_what_was_landed_since(tmp_path: Path) -> None:
    """Half of the disk's free bytes are to stay free; the other half is about to be used."""
    free = shutil.disk_usage(tmp_path).free
    clock, ledger = Clock(), MemoryLedger()
    found = room(tmp_path, free // 2, ledger, clock)
    assert not is_short(found)
    found.require_for("plant", free // 8)
    with pytest.raises(Transient, match="the next file needs about"):
        found.require_for("plant", free // 2)
    assert list(found.refused(clock.now)) == ["plant"]
    add(ledger, free)  # of which three quarters are still to be written to the lake
    clock.now = 5.0
    assert not is_short(found)  # the ledger is asked every ten seconds
    clock.now = 10.0
    assert is_short(found)
    assert found.refused(clock.now + 60) == {}


def test_the_rate_of_the_last_minute_is_kept_free_ahead(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    clock = Clock()
    found = room(tmp_path, free // 2, MemoryLedger(), clock)
    assert not is_short(found)
    found.landed(free)  # a sixth of it comes in the next ten seconds, and 75 % more to the lake
    clock.now = 20.0
    assert not is_short(found)
    for _ in range(2):
        found.landed(free // 2)
    clock.now = 40.0
    assert is_short(found)
    clock.now = 200.0
    assert not is_short(found)


@pytest.mark.parametrize(
    ("state", "age", "expected"),
    [
        ({}, 0.0, set()),
        ({"short": {"roof": "the next file needs about 50 MiB"}}, 0.0, {"roof"}),
        ({"paused": {"code": str(Code.DISK_RESERVE)}}, 0.0, {"roof", "plant"}),
        ({"paused": {"code": str(Code.DATABASE)}}, 0.0, set()),
        ({"short": {"roof": "of a daemon that was killed"}}, 31.0, set()),
    ],
)
def test_the_metric_names_each_source_whose_files_wait_for_room(
    state: dict[str, Any], age: float, expected: set[str]
) -> None:
    state = {"sources": ["roof", "plant"], **state}
    at = datetime(2026, 1, 31, tzinfo=UTC)
    beat = Heartbeat(LoopReport(Role.INTAKE, "host", 1, "p", "digest", state), at, at, age)
    samples = list(room_samples([beat], ["roof", "plant", "attic"]))
    assert [s.labels[0] for s in samples] == ["attic", "plant", "roof"]
    assert {s.labels[0] for s in samples if s.value} == expected


def doctor_says(folder: Path, min_free: int, need: int = 0, per_second: float = 0) -> str:
    """need: landed bytes of registered files, each a byte in the lake. per_second: bytes that arrive."""
    given = {"home": folder, "database_url": "postgresql://x/y", "min_free": min_free}
    unloaded = {"plant": Unloaded("plant", need, 1 / 30)}
    settings, arriving = Settings.model_validate(given), {"plant": per_second}
    [check] = disk_space.checks(settings, unloaded, arriving)
    in_bucket = settings.model_copy(update={"storage": Storage(landing="s3://b/landing")})
    [other] = disk_space.checks(in_bucket, unloaded, arriving)
    assert "landing/" not in other.todo
    return f"{check.verdict}: {check.found} -> {check.todo}"


def test_doctor_warns_of_a_disk_by_the_reserve_the_registered_files_and_the_rate(
    tmp_path: Path,
) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert doctor_says(tmp_path, free // 2).startswith("ok: ")
    assert doctor_says(tmp_path, free * 2).startswith("fail: ")
    nearly = doctor_says(tmp_path, int(free * 0.95))  # not enough to resume
    assert nearly.startswith("warn: ")
    assert nearly.endswith("landing/ stores a copy of every file")
    assert doctor_says(tmp_path, free // 2, free // 4).startswith("ok: ")
    short = doctor_says(tmp_path, free // 2, free)
    assert short.startswith("fail: ")
    assert "registered files need about" in short
    soon = doctor_says(tmp_path, free // 2, 0, free / 4 / 36_000)  # half of it for readings
    assert soon.startswith("warn: ")
    assert "at the rate of the last hour, this is in 10 hours" in soon
    assert doctor_says(tmp_path, free // 2, 0, free / 4 / 360_000).startswith("ok: ")
