"""A drop folder with more files than the daemon lets settle at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from patience import PATIENCE

from sensorflow import bootstrap, daemon
from sensorflow.adapters.feeds.folder import feed
from sensorflow.flow.landing import Landing
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects
from sensorflow.testing.queue import MemoryQueue

SETTINGS = """\
data = "data"
rescan = 3600
[sources.plant]
path = "drop"
profile = "long"
polling = true
settle = 0.1
after = "{after}"
"""
FILES = 25


@pytest.mark.parametrize("after", ["keep", "delete"])
def test_all_files_are_taken_in_without_waiting_for_the_next_rescan(
    project: Path, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SETTLING", 4)
    (project / "sensorflow.toml").write_text(SETTINGS.format(after=after))
    for number in range(FILES):
        (project / "drop" / f"{number}.csv").write_text(f"time,sensor\n{number}\n")
    settings, ledger = bootstrap.settings(project), MemoryLedger()
    feeds = bootstrap.feeds(settings, ledger)
    made = daemon.Daemon(settings, feeds, Landing(MemoryObjects()), ledger, MemoryQueue())
    thread = threading.Thread(target=made.run)
    thread.start()
    until = time.monotonic() + PATIENCE
    while len(ledger.files(limit=100)) < FILES and time.monotonic() < until:
        time.sleep(0.05)
    made.stop()
    thread.join()
    assert len(ledger.files(limit=100)) == FILES
