"""Files that grow, with the real database: accounts, undo, replay and audit of all parts of a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from fleet import HEAD
from looks import Inspections
from project_driver import ProjectDriver

from sensorflow import bootstrap
from sensorflow.cli import drops
from sensorflow.cli import files as files_cli
from sensorflow.cli.replay import replay, undo
from sensorflow.core.states import State
from sensorflow.errors import Code

RULES = {
    "after": "keep",
    "on_change": "merge",
    "growing": True,
    "grow_every": 0,
    "max_rejects": "50%",
}


def line(second: int, value: float) -> str:
    at = f"2026-02-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    return f"{at},s,temperature,{value},degC\n"


class Growth(ProjectDriver):
    def __init__(self, project: Path, database: str, index: str) -> None:
        super().__init__(project, database, RULES, dedupe_index=index, seal_after="5200w")
        self.drop = project / "drop"
        self.restart()

    def restart(self) -> None:
        feeds = bootstrap.feeds(self.settings, self.ledger)
        self.looks = Inspections(self.settings, feeds, self.services.landing, self.ledger)

    def write(self, text: str, name: str = "a.csv", how: str = "a") -> None:
        with (self.drop / name).open(how) as stream:
            stream.write(text)

    def take(self) -> None:
        self.looks.run_once()
        while pending := self.ledger.pending(100, 100):
            self.ledger.mark_sent(pending)
            for waiting in pending:
                self.work(waiting.file_id)
                view = self.ledger.file(waiting.file_id)
                assert view is not None
                if view.state is State.PENDING:
                    self.quarantine_by_hand(waiting.file_id)

    def values(self) -> list[float]:
        with psycopg.connect(self.database) as c:
            rows = c.execute("SELECT value FROM raw_readings ORDER BY value").fetchall()
        return [value for (value,) in rows]

    def states(self) -> list[str]:
        return [str(v.state) for v in reversed(self.ledger.files(limit=1000))]

    def ls(self, *options: str) -> list[dict[str, object]]:
        done = self.invoke(files_cli.app, "ls", *options, "--json")
        return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def growth(project: Path, indexed: str, index: str) -> Iterator[Growth]:
    new_growth = Growth(project, indexed, index)
    yield new_growth
    new_growth.close()


def repeating(growth: Growth) -> None:
    """A file in four parts, with repeats and other values over their borders."""
    growth.write(HEAD + line(1, 1) + line(2, 2))
    growth.take()
    growth.write(line(2, 2) + line(2, 3) + line(3, 4) + "nonsense\n")
    growth.take()
    growth.restart()
    growth.write(line(2, 5) + line(1, 1) + line(2, 3))
    growth.take()
    growth.write("".join(line(n, 100 + n) for n in range(10, 30)))
    growth.take()


def test_a_file_is_one_whatever_its_parts(growth: Growth) -> None:
    repeating(growth)
    assert growth.values() == [1, 2, 3, 4, 5, *range(110, 130)]
    [shown] = growth.ls()
    assert shown["growing"]["states"] == {"loaded": 4}  # type: ignore[index]
    rows = shown["growing"]["rows"]  # type: ignore[index]
    assert (rows["read"], rows["loaded"], rows["rejected"], rows["duplicate"]) == (29, 25, 1, 3)
    assert len(growth.ls("--each")) == len(growth.ls("--state", "loaded")) == 4
    text = growth.invoke(files_cli.app, "ls").stdout
    assert "4 parts: 4 loaded" in text
    assert "29" in growth.invoke(files_cli.app, "show", "2").stdout
    place = ("of-row", "s", "temperature", line(12, 0)[:20], "--json")
    [origin] = json.loads(growth.invoke(files_cli.app, *place).stdout)
    assert (origin["version"], origin["line"]) == (4, 13)
    assert origin["text"] == line(12, 112).strip()


@pytest.mark.parametrize("level", ["--fast", "--checksum", "--deep"])
def test_an_audit_of_parts_finds_nothing(growth: Growth, level: str) -> None:
    repeating(growth)
    result = growth.audit(level)
    assert (result.code, result.faults) == (0, [])
    assert result.report["notes"] == []


def test_a_file_is_undone_and_replayed_by_its_name(growth: Growth) -> None:
    repeating(growth)
    before = growth.values()
    done = growth.invoke(_app(undo), "a.csv")
    assert done.exit_code == 0, done.stdout
    assert growth.values() == []
    assert growth.states() == ["undone"] * 4
    growth.write(line(40, 40))  # it goes on meanwhile
    growth.take()
    assert growth.values() == [40]
    done = growth.invoke(_app(replay), "a.csv", "--state", "undone")
    while growth.ledger.pending(10, 10):
        growth.take()
    assert growth.values() == sorted([*before, 40])
    assert growth.audit("--deep").faults == []


def test_one_part_is_undone_and_replayed_alone(growth: Growth) -> None:
    repeating(growth)
    before = growth.values()
    assert growth.invoke(_app(undo), "2").exit_code == 0
    growth.take()
    assert growth.values() == before[:2] + before[2:3] + before[4:]  # 3 is the third's by now
    assert growth.invoke(_app(replay), "2").exit_code == 0
    growth.take()
    assert growth.values() == before
    assert growth.audit("--deep").faults == []


def test_a_quarantined_part_does_not_block_those_after_it(growth: Growth) -> None:
    growth.write(HEAD + line(1, 1))
    growth.take()
    growth.write("nonsense\n" * 5)
    growth.take()
    growth.write(line(2, 2))
    growth.take()
    assert growth.states() == ["loaded", "quarantined", "loaded"]
    assert growth.values() == [1, 2]
    [shown] = growth.ls()
    assert shown["growing"]["states"] == {"loaded": 2, "quarantined": 1}  # type: ignore[index]
    assert growth.audit("--deep").faults == []


def test_a_file_rotated_again_and_again_is_taken_once(growth: Growth) -> None:
    written = 0
    for number in range(4):
        for old in range(number, 0, -1):
            before = "a.csv" if old == 1 else f"a.{old - 1}.csv"
            os.rename(growth.drop / before, growth.drop / f"a.{old}.csv")
        growth.write(HEAD + line(written, written))
        growth.take()
        growth.write(line(written + 1, written + 1))
        if number % 2:
            growth.take()
        written += 2
    growth.take()
    assert growth.values() == list(range(written))
    assert growth.audit("--deep").faults == []


def drained(growth: Growth) -> None:
    """Whatever goes through again has done so."""
    growth.take()
    while growth.ledger.pending(10, 10):
        growth.take()


@pytest.mark.parametrize("how", ["truncated", "rotated", "replaced"])
def test_a_file_begun_anew_replaces_what_it_states_again_and_nothing_else(
    growth: Growth, how: str
) -> None:
    growth.write(HEAD + line(1, 1) + line(2, 2))
    growth.take()
    growth.write(line(3, 3))
    growth.take()
    if how == "rotated":
        os.rename(growth.drop / "a.csv", growth.drop / "a.1.csv")
    growth.write(HEAD + line(2, 20), "new" if how == "replaced" else "a.csv", "w")
    if how == "replaced":
        os.rename(growth.drop / "new", growth.drop / "a.csv")
    growth.take()
    growth.write(line(3, 3) + line(4, 4) + line(2, 21))
    growth.take()
    assert growth.values() == [1, 3, 4, 20, 21]
    assert growth.audit("--deep").faults == []
    first, second = reversed(growth.ls())
    assert first["growing"]["rows"]["replaced"] == 2  # type: ignore[index]
    assert second["growing"]["rows"]["read"] == 4  # type: ignore[index]
    assert growth.invoke(_app(undo), "a.csv").exit_code == 0
    drained(growth)
    assert growth.values() == [1, 2, 3]
    assert growth.audit("--deep").faults == []
    assert growth.invoke(_app(replay), "a.csv").exit_code == 0
    drained(growth)
    assert growth.values() == [1, 3, 4, 20, 21]
    assert growth.audit("--deep").faults == []


def test_equal_parts_of_two_files_are_readings_of_both(growth: Growth) -> None:
    """Their bytes are the same, and what they mean is in the header."""
    for name in ("a.csv", "b.csv"):
        growth.write(HEAD + line(1, ord(name[0])), name)
    growth.take()
    for name in ("a.csv", "b.csv"):
        growth.write(line(2, 2), name)
    growth.take()
    assert growth.values() == [2, 2, 97, 98]
    assert growth.audit("--deep").faults == []


def test_a_file_that_was_taken_whole_before_goes_on_as_one_that_grows(growth: Growth) -> None:
    text = HEAD + line(1, 1) + line(2, 2)
    growth.load("a.csv", text.encode())
    growth.write(text)
    growth.take()
    growth.write(line(3, 3))
    growth.take()
    assert growth.values() == [1, 2, 3]
    assert growth.audit("--deep").faults == []


def test_lines_that_nobody_takes_are_overdue(
    growth: Growth, monkeypatch: pytest.MonkeyPatch
) -> None:
    growth.write(HEAD + line(1, 1))
    growth.take()
    assert growth.audit("--fast").faults == []
    monkeypatch.setattr("sensorflow.flow.audit.growing.MAX_MISSED_SCANS", 0)
    growth.write(line(2, 2)[:-5])
    assert growth.audit("--fast").faults == []  # its line is not whole
    growth.write(line(2, 2)[-5:])
    assert growth.audit("--fast").faults == ["A501"]
    growth.take()
    growth.write((growth.drop / "a.csv").read_text(), "copy.csv")
    assert growth.audit("--fast").faults == ["A501"]
    growth.take()
    assert growth.audit("--fast").faults == []


def test_what_is_left_in_a_renamed_file_is_told(
    growth: Growth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a name that the source does not take: what was taken of it is there, and what was not is told."""
    monkeypatch.setattr("sensorflow.flow.audit.growing.MAX_MISSED_SCANS", 0)
    growth.write(HEAD + line(0, 20.0))
    growth.take()
    os.rename(growth.drop / "a.csv", growth.drop / "a.csv.1")
    (growth.drop / "b.pdf").write_text("other")
    assert growth.audit("--fast").faults == []
    assert _left(growth) == ["match no pattern of include: 1 file *.pdf (b.pdf)"]
    more = line(1, 20.0)
    growth.write(more, "a.csv.1")
    assert growth.audit("--fast").faults == ["A501"]
    [_, finding] = _left(growth)
    assert (
        finding == f"renamed while they grew, {len(more)} bytes are not ingested: 1 file (a.csv.1)"
    )
    growth.take()
    assert growth.audit("--deep").faults == []
    assert len(_left(growth)) == 1


def _left(growth: Growth) -> list[str]:
    [backlog] = bootstrap.backlogs(growth.settings, growth.ledger)
    found = backlog.inspect(None, -1, 3600)
    return [check.found for check in drops._checks_of("plant", found, True)]


def test_a_deep_audit_finds_what_was_rewritten_in_place(growth: Growth) -> None:
    text = HEAD + "".join(line(n, n) for n in range(5000))
    growth.write(text)
    growth.take()
    at = text.index(line(2500, 2500))
    with (growth.drop / "a.csv").open("r+") as stream:
        stream.seek(at)
        stream.write(line(2500, 9999))
    assert growth.audit("--deep").faults == ["A411"]


def _app(command: object) -> object:
    import typer

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)  # type: ignore[type-var]
    return app


def test_of_two_spellings_of_a_name_the_one_that_was_registered_first_grows(growth: Growth) -> None:
    nfc, nfd = "T\u00fcr.csv", "Tu\u0308r.csv"
    growth.write(HEAD + line(0, 1.0), nfc)
    growth.take()
    growth.write(HEAD + line(0, 2.0), nfd)
    with structlog.testing.capture_logs() as logs:
        growth.take()
        growth.restart()
        growth.write(line(1, 1.5), nfc)
        growth.take()
    refused = [entry for entry in logs if entry["event"] == "file.refused"]
    assert {entry["code"] for entry in refused} == {Code.NAME_TAKEN}
    assert len(refused) == 2  # once for each start
    assert growth.values() == [1.0, 1.5]
    (growth.drop / nfc).unlink()
    growth.take()
    assert growth.values() == [1.5, 2.0]
