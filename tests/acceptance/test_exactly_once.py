"""The main promise, on both brokers, with real processes killed in the middle."""

from __future__ import annotations

from pathlib import Path

from fleet import Fleet, Manifest, fleet, generate

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.core.states import State
from sensorflow.flow.quarantine_zone import QuarantineZone

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


def assert_all_accounted_for(f: Fleet, manifest: Manifest) -> None:
    found = manifest.of_database(f.database)
    assert len(found - manifest.readings) == 0, "unexpected"
    assert len(manifest.readings - found) == 0, "lost"
    files = f.ledger.files(limit=10_000)
    assert {v.name for v in files if v.state is State.QUARANTINED} == manifest.corrupt
    store = QuarantineZone(LocalObjects(f.project / "data" / "quarantine"))
    for view in f.ledger.files(State.QUARANTINED, limit=10_000):
        quarantined = store.manifest(view.quarantined_to)
        assert quarantined["file"]["name"] == view.name
        assert quarantined["error"]["code"].startswith("F203")
    assert all(v.counts.balanced for v in files if v.state is State.LOADED)
    aliases = sum(a.kind == "alias" for v in files for a in f.ledger.arrivals(v.file_id))
    assert aliases == FILES // 10
    left = [p for p in f.drop.iterdir() if p.is_file()]
    assert left == []
