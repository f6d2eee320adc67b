"""Traces of a real fleet, as a collector receives them: one per file, whichever processes work on it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
import warm
from collector import Collector, Received, collector
from fleet import Fleet, fleet, rows, text

from sensorflow.core.states import State

AT_EXIT = {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}
"""For processes that send their spans only when they end."""


def test_each_file_has_one_trace_from_folder_to_commit_across_processes(
    project: Path, database: str, valkey_url: str
) -> None:
    draw = random.Random(1)
    with collector() as c:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": c.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        options: dict[str, Any] = {"environment": environ, "inline_below": 20_000}
        with fleet(project, database, valkey_url, **options) as f:
            f.start("daemon")
            f.start("worker1", crash=f"load.copied:1:{project / 'killed'}")
            f.put("killed.csv", text(rows(1, 5, draw)))
            f.wait(lambda: f.finished() == 1)
            assert (project / "killed").exists()
            for number in range(2, 5):
                f.put(f"small-{number}.csv", text(rows(number, 5, draw)))
            f.put("large.csv", text(rows(5, 800, draw)))
            f.put("bad.csv.gz", b"\x1f\x8b\x08 broken")
            f.wait(lambda: f.finished() == 6)
            assert f.counts()["loaded"] == 5
            replay = warm.run(["sensorflow", "replay", "small-2.csv"], f.env, project)
            assert replay.returncode == 0, replay.stderr
            known = _traces(database)
            f.wait(lambda: f.finished() == 6 and f.counts()["pending"] == 0)
            assert _traces(database) == known
            shown = warm.run(["sensorflow", "files", "show", "large.csv"], f.env, project)
            f.stop()
            logs = f.ledger, [*_events(f)]
        assert known["large.csv"].hex().encode() in shown.stdout
        _assert_logs(logs[1], known)
        assert len(set(known.values())) == 6
        first = {s.trace for s in c.spans} - set(known.values())
        assert len(first) == 1  # of small-2.csv before its replay
        for name in ("small-3.csv", "small-4.csv"):
            _assert_small(c, known[name], name, database)
        _assert_small(c, *first, "small-2.csv", database)
        _assert_large(c, known["large.csv"])
        _assert_quarantined(c, known["bad.csv.gz"])
        _assert_killed(c, known["killed.csv"])
        _assert_replayed(c, known["small-2.csv"], *first)
        for trace in {s.trace for s in c.spans}:
            _assert_tree(c, trace)


def _traces(database: str) -> dict[str, bytes]:
    with psycopg.connect(database) as connection:
        return dict(connection.execute("SELECT key_text, trace_id FROM files").fetchall())


def _events(f: Fleet) -> list[dict[str, Any]]:
    lines = "".join(p.read_text() for p in f.project.glob("*.log")).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _assert_logs(events: list[dict[str, Any]], known: dict[str, bytes]) -> None:
    """Every event about a file names its trace."""
    of_files = [e for e in events if "file_id" in e]
    assert {"file.registered", "file.loaded", "file.quarantined"} <= {e["event"] for e in of_files}
    assert all("trace_id" in e for e in of_files), of_files
    registered = {e["file"]: e["trace_id"] for e in of_files if e["event"] == "file.registered"}
    for name in known.keys() - {"small-2.csv"}:
        assert registered[name] == known[name].hex()


def _assert_tree(c: Collector, trace: bytes) -> None:
    """One root, which exists, and parents that begin before their children."""
    spans = {span.id: span for span in c.spans if span.trace == trace}
    assert len(spans) == sum(span.trace == trace for span in c.spans), "an id is there twice"
    [root] = [span for span in spans.values() if not span.parent]
    assert (root.name, root.id) == ("file", trace[:8])
    for span in spans.values():
        assert span.start <= span.end, span
        if span is root:
            continue
        parent = spans[span.parent]
        assert parent.start <= span.start, (parent, span)
        assert span.end <= parent.end, (parent, span)
        assert parent.name == ("attempt" if span.name in STAGES else "file")


STAGES = ("process", "validate", "transform", "load", "quarantine")
STEPS = ["land", "register", "publish", "queue", "attempt"]


def _assert_small(c: Collector, trace: bytes, name: str, database: str) -> None:
    found = c.of(trace)
    assert sorted(found) == sorted(["file", "process", *STEPS])
    assert all(len(spans) == 1 for spans in found.values())
    [root], [attempt] = found["file"], found["attempt"]
    starts = [found[step][0].start for step in STEPS]
    assert starts == sorted(starts)
    query = (
        "SELECT id, lease_token, size, extract(epoch FROM discovered_at)::numeric * 1000000000,"
        " source FROM files WHERE key_text = %s"
    )
    with psycopg.connect(database) as connection:
        file_id, token, size, discovered, source = connection.execute(query, (name,)).fetchone()  # type: ignore[misc]
    assert root.start == discovered
    assert {span.attributes["sensorflow.file.id"] for [span] in found.values()} == {file_id}
    wanted = {"file.name": name, "file.size": size, "sensorflow.source": source}
    wanted |= {"sensorflow.rows.read": 5, "sensorflow.rows.loaded": 5}
    assert wanted.items() <= root.attributes.items()
    if name != "small-2.csv":  # its replay has a token of its own
        assert int.from_bytes(attempt.id) == token
    roles = {n: found[n][0].resource["sensorflow.role"] for n in found}
    assert {n for n, role in roles.items() if role == "daemon"} == {"land", "register", "publish"}
    assert {span.resource["service.name"] for [span] in found.values()} == {"sensorflow"}
    assert all(span.error is None for [span] in found.values())


def _assert_large(c: Collector, trace: bytes) -> None:
    found = c.of(trace)
    attempts = found["attempt"]
    assert [a.attributes["sensorflow.stage"] for a in attempts] == ["validate", "transform", "load"]
    assert [found[s][0].parent for s in ("validate", "transform", "load")] == [
        attempt.id for attempt in attempts
    ]
    assert found["validate"][0].attributes["sensorflow.rows"] == 800
    assert len(found["queue"]) == 3
    assert attempts[0].end <= attempts[1].start <= attempts[1].end <= attempts[2].start
    assert found["file"][0].attributes["sensorflow.rows.loaded"] == 800


def _assert_quarantined(c: Collector, trace: bytes) -> None:
    found = c.of(trace)
    failed, remaining = found["attempt"]
    [root] = found["file"]
    code = failed.attributes["error.type"]
    assert code.startswith("F")
    assert failed.error
    assert (remaining.attributes["sensorflow.stage"], remaining.error) == ("quarantine", None)
    assert (root.attributes["error.type"], root.error) == (code, failed.error)
    assert root.attributes["sensorflow.outcome"] == "quarantined"
    assert found["quarantine"][0].parent == remaining.id


def _assert_killed(c: Collector, trace: bytes) -> None:
    """The killed attempt could send nothing. The next one is in the same trace, and says its number."""
    found = c.of(trace)
    [attempt] = found["attempt"]
    assert attempt.attributes["sensorflow.attempt"] == 2
    assert len(found["publish"]) == 2
    assert [s.attributes["sensorflow.outcome"] for s in found["file"]] == ["loaded"]


def _assert_replayed(c: Collector, trace: bytes, first: bytes) -> None:
    found = c.of(trace)
    assert [span.links for span in found["replay"]] == [[(first, first[:8])]]
    assert found["file"][0].start == found["replay"][0].start // 1000 * 1000
    assert found["file"][0].attributes["sensorflow.outcome"] == "loaded"


def roots(c: Collector) -> list[Received]:
    return [span for span in c.spans if span.name == "file"]


def test_processes_send_their_last_spans_when_they_end(
    project: Path, database: str, valkey_url: str
) -> None:
    with collector() as c:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": c.url, **AT_EXIT}
        with fleet(project, database, valkey_url, environment=environ) as f:
            f.put("a.csv", text(rows(1, 5, random.Random(1))))
            f.start("daemon", "worker1")
            f.wait(lambda: f.finished() == 1)
            assert not c.spans
        assert sorted(s.name for s in c.spans) == sorted([*STEPS, "process", "file"])


@pytest.mark.parametrize("status", [0, 503])
def test_a_collector_that_is_down_disturbs_nothing(
    project: Path, database: str, valkey_url: str, status: int
) -> None:
    with collector() as c:
        c.status = status
        url = c.url if status else "http://127.0.0.1:9"
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        environ |= {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
        with fleet(project, database, valkey_url, environment=environ) as f:
            for number in range(20):
                f.put(f"{number}.csv", text(rows(number, 5, random.Random(number))))
            f.start("daemon", "worker1")
            f.wait(lambda: f.counts()[State.LOADED] == 20)
            f.stop()
            lost = [e for e in _events(f) if e["event"] == "spans.lost"]
        assert lost
        assert all(e["spans"] > 0 and e["reason"] for e in lost)
        assert not c.spans
