"""The main promise, on both brokers, with real processes killed in the middle."""

from __future__ import annotations

from pathlib import Path

from fleet import Manifest, assert_all_accounted_for, fleet, generate

FILES, ROWS, SEED = 200, 200, 20260101


def test_daemon_and_worker_killed_in_the_middle_lose_and_double_nothing(
    project: Path, database: str, broker: str
) -> None:
    with fleet(project, database, broker) as f:
        f.start("daemon", "worker", "beat")
        manifest = Manifest()
        for manifest, drops in generate(FILES, ROWS, SEED):
            for name, content in drops:
                f.put(name, content)
            if manifest.files == FILES // 3:
                f.wait(lambda: f.finished() > 20)
                f.kill("daemon")
                f.start("daemon")
            if manifest.files == 2 * FILES // 3:
                f.wait(lambda: f.counts()["running"] > 0)
                f.kill("worker")
                f.start("worker")
        f.wait(lambda: f.finished() == FILES)
        assert_all_accounted_for(f, manifest)
