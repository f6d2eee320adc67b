"""A drop folder with more files than the daemon lets settle at a time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from patience import PATIENCE

from sensorflow import bootstrap, daemon
from sensorflow.adapters.feeds.folder import feed
from sensorflow.flow.landing import Landing
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects
from sensorflow.testing.project import write_settings
from sensorflow.testing.queue import MemoryQueue
from sensorflow.testing.running import running, within

FILES = 25


@pytest.mark.parametrize("after", ["keep", "delete"])
def test_all_files_are_taken_in_without_waiting_for_the_next_rescan(
    project: Path, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_UNSTABLE", 4)
    plant = {"path": "drop", "polling": True, "stability_window": 0.1, "after": after}
    write_settings(project, {"plant": plant}, rescan=3600)
    for number in range(FILES):
        (project / "drop" / f"{number}.csv").write_text(f"time,sensor\n{number}\n")
    settings, ledger = bootstrap.settings(project), MemoryLedger()
    feeds = bootstrap.feeds(settings, ledger)
    daemon_ = daemon.Daemon(settings, feeds, Landing(MemoryObjects()), ledger, MemoryQueue())
    done = within(PATIENCE, lambda: len(ledger.files(limit=100)) == FILES)
    with running(daemon_):
        while not done():
            time.sleep(0.05)
