"""All zones in a bucket of a real S3 server, in short: see `make test-storage`, which takes its time."""

from __future__ import annotations

import json
from pathlib import Path

import warm
import zones
from fleet import (
    HEAD,
    Fleet,
    Manifest,
    assert_all_accounted_for,
    fleet,
    generate,
)
from object_servers import Seaweed

FILES, ROWS, SEED = 60, 200, 20260102


def command(f: Fleet, *words: str, code: int = 0) -> str:
    done = warm.run(["sensorflow", *words], f.env, f.project)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    return output


def in_layer(f: Fleet, layer: str) -> int:
    return len(list((f.data / layer).rglob("*.parquet")))


def test_with_zones_in_a_bucket_kills_lose_and_double_nothing(
    project: Path, database: str, valkey_url: str, seaweed: Seaweed, s3_environment: None
) -> None:
    storage = zones.s3_storage(seaweed.endpoint)
    with fleet(project, database, valkey_url, storage=storage) as f:
        f.start("daemon", "worker", "beat")
        manifest = Manifest()
        for manifest, drops in generate(FILES, ROWS, SEED):
            for name, content in drops:
                f.put(name, content)
            if manifest.files == FILES // 3:
                f.wait(lambda: f.finished() > 5)
                f.kill("daemon")
                f.start("daemon")
            if manifest.files == 2 * FILES // 3:
                f.wait(lambda: f.counts()["running"] > 0)
                f.kill("worker")
                f.start("worker")
        f.wait(lambda: f.finished() == FILES)
        assert_all_accounted_for(f, manifest)
        report = json.loads(command(f, "audit", "--deep", "--json"))
        assert (report["findings"], report["not_looked_at"]) == ([], [])
        assert in_layer(f, "silver") == FILES - len(manifest.corrupt)
        data = project / "data"
        assert not {p.name for p in data.iterdir()} & {"landing", "quarantine", *zones.LAYERS}


def test_with_zones_in_a_bucket_files_are_undone_replayed_and_expire(
    project: Path, database: str, valkey_url: str, seaweed: Seaweed, s3_environment: None
) -> None:
    storage = zones.s3_storage(seaweed.endpoint)
    keep = {"retention": {"landing": "1d", "bronze": "1d"}}
    with fleet(project, database, valkey_url, source=keep, storage=storage) as f:
        for number in (1, 2):
            row = f"2026-02-01T00:00:0{number}Z,s,temperature,{number},degC\n"
            f.put(f"{number}.csv", (HEAD + row).encode())
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 2)
        command(f, "undo", "1.csv", "--reason", "wrong sensor")
        assert in_layer(f, "silver") == 1
        command(f, "replay", "1.csv", "--state", "undone")
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert in_layer(f, "silver") == 2
        f.sql("UPDATE files SET finished_at = now() - interval '2 days' WHERE key_text = '1.csv'")
        assert "landing of 1 files" in command(f, "retention", "--apply")
        assert len(list((f.data / "landing").rglob("*"))) == 1
        assert in_layer(f, "bronze") == 1
        assert json.loads(command(f, "audit", "--checksum", "--json"))["findings"] == []
