"""A logger that opens its file, appends a line and closes it: every line is a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import warm
from fleet import HEAD, Manifest, fleet

LINES = 5


def append(path: Path, line: str) -> None:
    with path.open("a") as file:
        if file.tell() == 0:
            file.write(HEAD)
        file.write(line)


@pytest.mark.parametrize("after", ["archive", "delete", "keep"])
def test_five_lines_are_five_rows(
    project: Path, database: str, valkey_url: str, after: str
) -> None:
    with fleet(project, database, valkey_url, source={"after": after}) as f:
        f.start("daemon", "worker", "beat")
        for number in range(LINES):
            append(
                f.drop / "logger.csv", f"2026-02-01T00:00:0{number}Z,s,temperature,{number},degC\n"
            )
            seen = number + 1
            f.wait(lambda seen=seen: f.counts()["files"] >= seen)  # type: ignore[misc]
        expected = {(f"2026-02-01T00:00:0{n}Z", "s", float(n)) for n in range(LINES)}
        f.wait(lambda: Manifest().of_database(database) == expected)
        f.wait(lambda: f.finished() == f.counts()["files"])
        assert Manifest().of_database(database) == expected
        done = warm.run(["sensorflow", "audit", "--deep", "--json"], f.env, project)
        assert json.loads(done.stdout)["findings"] == []
