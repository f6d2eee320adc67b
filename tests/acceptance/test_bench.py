"""`sensorflow bench` on files as loggers write them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import warm

HEAD = "time,sensor,type,value,unit\n"


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
    done = warm.run(["sensorflow", "bench", *arguments], env, folder)
    output = (done.stdout.decode(), done.stderr.decode())
    return subprocess.CompletedProcess(done.args, done.returncode, *output)


def test_the_seconds_of_each_stage_are_told_and_nothing_is_touched(tmp_path: Path) -> None:
    rows = [
        f"2026-02-01T00:{n // 60:02}:{n % 60:02}Z,s1,temperature,{n / 7},degC\n"
        for n in range(3000)
    ]
    (tmp_path / "tank.csv").write_text(
        HEAD + "".join(rows) + "2026-02-01T02:00:00Z,s1,temperature,x,degC\n"
    )
    done = bench(tmp_path, "tank.csv", "--profile", "long", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["read"], found["loaded"], found["rejected"]) == (3001, 3000, 1)
    assert [step["name"] for step in found["steps"]] == ["validate", "transform", "load"]
    assert 0 < sum(step["seconds"] for step in found["steps"]) <= found["seconds"] * 1.5
    assert found["peak_mb"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["tank.csv"]


def test_a_file_that_would_be_quarantined_is_told_by_its_code(tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_text(HEAD + "when,s1,temperature,1,degC\n")
    done = bench(tmp_path, "broken.csv", "--profile", "long")
    assert done.returncode == 1
    assert done.stderr.startswith("sensorflow: F204 too-many-rejects")
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    done = bench(tmp_path, "nothing.csv")
    assert (done.returncode, "no such file" in done.stderr) == (2, True)
