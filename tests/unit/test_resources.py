"""The resources of a host and of its container, read from files of the kernel."""

import os
import time
from pathlib import Path

import pytest

from sensorflow.engine import resources


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resources, "CGROUP", tmp_path)
    return tmp_path


def test_a_container_has_the_cpus_of_its_quota(cgroup: Path) -> None:
    here = len(os.sched_getaffinity(0))
    assert resources.cpus() == here
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert resources.cpus() == here
    (cgroup / "cpu.max").write_text("50000 100000\n")
    assert resources.cpus() == 0.5


def test_the_free_memory_is_that_of_the_container(cgroup: Path) -> None:
    host = resources.free_bytes()
    assert host > 0
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("1000\n")
    (cgroup / "memory.stat").write_text("anon 900\ninactive_file 50\n")
    assert resources.free_bytes() > 1000
    (cgroup / "memory.max").write_text("1200\n")
    assert resources.free_bytes() == 250


def test_a_process_counts_with_its_private_memory() -> None:
    mine = resources.process_bytes([os.getpid()])
    assert 1e6 < mine < 1e10
    assert (
        resources.process_bytes([]) == resources.process_bytes([2**30]) == resources.PROCESS_BYTES
    )


def test_the_share_of_cpu_time_is_that_of_the_last_seconds() -> None:
    meter = resources.CpuMeter()
    assert meter.busy() == 0.0
    time.sleep(1.05)
    assert 0.0 <= meter.busy() <= 1.0
