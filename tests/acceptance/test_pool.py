"""The pool of an autoscaled worker: it grows with the work, and is small again when that is done."""

from __future__ import annotations

import random
import time
from pathlib import Path
from urllib.parse import urlsplit

from fleet import Fleet, fleet, rows, text
from proxy import Proxy

STAYS = 10.0
"""Seconds for which the pool must have one child at the end."""
FILES, ROWS = 28, 25_000
"""More work than one child can do in a few seconds."""


def test_the_pool_grows_to_its_most_and_shrinks_although_sweeps_go_on(
    project: Path, database: str, valkey_url: str
) -> None:
    """Also when the broker's connection was lost while it was small."""
    parts = urlsplit(valkey_url)
    with (
        Proxy(str(parts.hostname), int(parts.port or 0)) as proxy,
        fleet(project, database, proxy.url(valkey_url), inline_below="1 KiB") as f,
    ):
        f.start("worker", "beat")
        f.wait(lambda: swept(f) > 0)
        proxy.reset()
        seen = swept(f)
        f.wait(lambda: swept(f) > seen + 1)
        limit = work(f)
        assert limit == 2, f.logs()
        sweeps = swept(f)
        f.wait(lambda: stays_small(f))
        assert swept(f) > sweeps
        log = (project / "worker.log").read_text()
        assert log.count("Scaling down") == log.count("Scaling up") <= 2, f.logs()
        assert f.running["worker"].poll() is None


def work(f: Fleet) -> int:
    """Load files; the most children that there were at once."""
    f.start("daemon")
    content = text(rows(0, ROWS, random.Random(0)))
    for number in range(FILES):
        f.put(f"{number}.csv", content.replace(b",s0,", b",s%d," % number))
    limit = 0
    while f.counts()["loaded"] < FILES:
        limit = max(limit, len(f.children("worker")))
        assert f.running["worker"].poll() is None, f.logs()
        time.sleep(0.05)
    return max(limit, len(f.children("worker")))


def stays_small(f: Fleet) -> bool:
    """Whether the pool has one child for `STAYS` seconds."""
    until = time.monotonic() + STAYS
    while time.monotonic() < until:
        if len(f.children("worker")) != 1:
            return False
        time.sleep(0.1)
    return True


def swept(f: Fleet) -> int:
    return (f.project / "worker.log").read_text().count("Task sensorflow.sweep")
