"""Replay, undo, backfill and retention as commands, on a running fleet."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import psycopg
import warm
from fleet import HEAD, Fleet, fleet, rows, text

GOOD = "2026-02-01T00:00:0{}Z,s,temperature,{},degC\n"


def command(f: Fleet, *words: str, code: int = 0) -> str:
    done = warm.run(["sensorflow", *words], f.env, f.project)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    assert b"Traceback" not in done.stderr
    return output


def values(url: str) -> list[float]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT value FROM raw_readings ORDER BY value").fetchall()
    return [value for (value,) in found]


def silver(f: Fleet) -> list[Any]:
    return sorted((f.data / "silver").rglob("*.parquet"))


def test_rejected_rows_are_added_by_a_mended_profile_and_nothing_else_is_touched(
    project: Path, database: str, valkey_url: str
) -> None:
    mended = {"mended": {"extends": "long", "decimal": ","}}
    half = {"max_rejects": "50%"}
    with fleet(project, database, valkey_url, source=half, profiles=mended) as f:
        lines = [GOOD.format(0, 1), GOOD.format(1, '"2,5"'), GOOD.format(2, 3)]
        f.put("a.csv", (HEAD + "".join(lines)).encode())
        f.put("good.csv", (HEAD + GOOD.format(5, 7)).encode())
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert values(database) == [1.0, 3.0, 7.0]
        assert "a.csv" in command(f, "replay", "--rejected", "--dry-run")
        assert "1 file is queued for replay" in command(
            f, "replay", "--rejected", "--profile", "mended"
        )
        f.wait(lambda: values(database) == [1.0, 2.5, 3.0, 7.0])
        f.wait(lambda: f.counts()["loaded"] == 2)
        shown = json.loads(command(f, "files", "show", "1", "--json"))
        assert shown["rows"] == {
            "read": 3,
            "loaded": 3,
            "rejected": 0,
            "duplicate": 0,
            "missing": 0,
            "replaced": 0,
            "not_loaded": 0,
        }
        assert "1 readings added, 0 removed, 2 untouched" in shown["history"][-1]["why"]


def test_a_replay_by_a_wrong_profile_leaves_the_rows_as_they_were(
    project: Path, database: str, valkey_url: str
) -> None:
    wrong = {"wrong": {"extends": "long", "value": "val"}}
    with fleet(project, database, valkey_url, profiles=wrong) as f:
        f.put("a.csv", (HEAD + GOOD.format(0, 1) + GOOD.format(2, 3)).encode())
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 1)
        command(f, "replay", "a.csv", "--profile", "wrong")
        f.wait(lambda: "replay failed" in command(f, "files", "show", "1"))
        assert f.counts()["loaded"] == 1
        assert values(database) == [1.0, 3.0]
        assert "no such profile" in command(f, "replay", "a.csv", "--profile", "none", code=2)


def test_undo_takes_a_file_out_of_database_and_silver_and_replay_brings_it_back(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        f.put("a.csv", (HEAD + GOOD.format(0, 1)).encode())
        f.put("b.csv", (HEAD + GOOD.format(1, 2)).encode())
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert "1 reading removed" in command(f, "undo", "a.csv", "--why", "wrong sensor")
        assert values(database) == [2.0]
        assert len(silver(f)) == 1
        assert "not undone" in command(f, "undo", "a.csv", code=1)
        assert "wrong sensor" in command(f, "files", "show", "a.csv")
        command(f, "replay", "a.csv", "--state", "undone")
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert values(database) == [1.0, 2.0]
        assert len(silver(f)) == 2


def test_what_a_killed_undo_left_in_silver_is_removed_by_the_sweep(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        f.put("a.csv", (HEAD + GOOD.format(0, 1)).encode())
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 1)
        f.ledger.undo(1, "killed before silver was removed")
        assert len(silver(f)) == 1
        f.start("beat")
        f.wait(lambda: not silver(f))


def test_a_killed_backfill_goes_on_where_it_was_and_takes_each_file_once(
    project: Path, database: str, valkey_url: str
) -> None:
    old = project / "old"
    (old / "2025").mkdir(parents=True)
    expected = set()
    for number in range(60):
        readings = rows(number, 5, random.Random(number))
        expected |= set(readings)
        (old / "2025" / f"{number}.csv").write_bytes(text(readings))
    (old / "note.md").write_text("not a reading")
    os.utime(old / "2025" / "59.csv", (0, 0))
    with fleet(project, database, valkey_url) as f:
        f.start("daemon", "worker")
        words = ["backfill", str(old), "--source", "plant", "--rate", "15", "--ahead", "10"]
        first = warm.Process(["sensorflow", *words], f.env, f.project, 1, 2)
        f.wait(lambda: f.counts()["files"] >= 10)
        first.kill()
        first.wait()
        f.put("live.csv", (HEAD + GOOD.format(1, 2)).encode())
        f.wait(lambda: "loaded" in {v.state for v in f.ledger.named("live.csv")})
        output = command(f, *words[:-4], "--since", "2000-01-01")
        assert "0 identical to another file" in output
        assert f.counts() == {**f.counts(), "files": 60, "loaded": 60}
        assert len(values(database)) == 59 * 5 + 1
        command(f, *words[:-4])
        assert len(values(database)) == 60 * 5 + 1
        assert len(list(old.rglob("*.csv"))) == 60
        assert "overlaps the folder of" in command(f, "backfill", "drop", *words[2:4], code=2)


def test_what_has_expired_is_gone_and_the_rest_is_there(
    project: Path, database: str, valkey_url: str
) -> None:
    keep = {"landing": "1d", "bronze": "1d", "rows": "1y", "history": "1d"}
    with fleet(project, database, valkey_url, source={"retention": keep}) as f:
        for number in (1, 2):
            f.put(f"{number}.csv", (HEAD + GOOD.format(number, number)).encode())
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 2)
        age = "UPDATE files SET finished_at = now() - interval '2 days' WHERE key_text = '1.csv'"
        with psycopg.connect(database) as connection:
            connection.execute(age)
        assert "1d" in command(f, "retention")
        assert "landing of 1 files" in command(f, "retention", "--apply")
        landed = [p for p in (f.data / "landing").rglob("[!.]*") if p.is_file()]
        assert len(landed) == 1
        assert len(list((f.data / "bronze").rglob("*.parquet"))) == 1
        assert len(silver(f)) == 2
        assert values(database) == [1.0, 2.0]
        assert "expired" in command(f, "replay", "1.csv", code=1)
        time.sleep(0.1)
        f.put("again.csv", (HEAD + GOOD.format(1, 1)).encode())  # the bytes that have expired
        f.wait(lambda: len(f.ledger.arrivals(1)) == 2)
