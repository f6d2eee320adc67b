"""The comparer of two runs, by itself: `make same` takes the corpus through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from same.compare import Difference, declared, differences, flat
from same.normal import normal
from same.side import RunRecord, TreeUnderTest

BEFORE = {"table files": {"[1 plant/a.csv@1].state": "loaded", "[1 plant/a.csv@1].rows_read": 20}}


def side(name: str) -> TreeUnderTest:
    folder = Path("/tmp/same") / name
    url, broker = f"postgresql://u:p@127.0.0.1:5432/{name}", f"redis://:p@127.0.0.1:{len(name)}/0"
    return TreeUnderTest(folder / "tree", folder / "project", url, broker, [])


def compared(before: RunRecord, after: RunRecord) -> list[str]:
    states = [normal(side(n), t, "0.3.0") for n, t in (("before", before), ("after_", after))]
    return [str(d) for d in differences(*states)]


def ledger(**values: object) -> RunRecord:
    columns = {f"[7 plant/a.csv@1].{name}": value for name, value in values.items()}
    return RunRecord(states={"done": {"table files": columns}})


def test_what_is_alike_has_no_differences() -> None:
    assert list(differences(BEFORE, BEFORE)) == []


@pytest.mark.parametrize("value", [21, None, "20", 20.0])
def test_a_value_that_changed_is_named_with_its_place(value: object) -> None:
    place = "[1 plant/a.csv@1].rows_read"
    after = {"table files": {**BEFORE["table files"], place: value}}
    assert list(differences(BEFORE, after)) == [Difference("table files", place, "20", str(value))]


def test_what_one_side_alone_has_is_a_difference_both_ways() -> None:
    assert len(list(differences(BEFORE, {}))) == len(list(differences({}, BEFORE))) == 2


def test_rows_are_compared_one_by_one_and_in_order() -> None:
    rows = {"reading": {"a": ["1", "2", "3"]}}
    [changed] = differences(rows, {"reading": {"a": ["1", "x", "3"]}})
    assert str(changed) == "reading a row 2: 2 -> x"
    assert len(list(differences(rows, {"reading": {"a": ["2", "1", "3"]}}))) == 2
    assert len(list(differences(rows, {"reading": {"a": ["1", "2", "3", "4"]}}))) == 1


def test_long_values_are_cut_to_where_they_differ() -> None:
    same = "x" * 500
    [found] = differences({"a": {"b": f"{same}1{same}"}}, {"a": {"b": f"{same}2{same}"}})
    assert "x1x" in str(found)
    assert "x2x" in str(found)
    assert len(str(found)) < 450


def test_declared_differences_are_counted_and_the_others_stay() -> None:
    after = {"table files": {"[1 plant/a.csv@1].state": "undone"}}
    left, expected = declared(list(differences(BEFORE, after)), r"state: loaded -> undone")
    assert (len(left), expected) == (1, 1)
    assert declared(left, "")[0] == left


def test_flat_gives_each_leaf_its_path() -> None:
    assert dict(flat({"a": [1, {"b": None}], "c": {}})) == {
        "$.a[0]": 1,
        "$.a[1].b": None,
        "$.c": "{}",
    }


def test_what_no_two_runs_have_in_common_is_no_difference() -> None:
    before = ledger(lease_token=4, lease_owner=None, path="/tmp/same/before/project/data")
    after = ledger(lease_token=5, lease_owner=None, path="/tmp/same/after_/project/data")
    assert compared(before, after) == []


@pytest.mark.parametrize("column", ["error_detail", "profile_hash", "attempts", "checksum"])
def test_every_other_column_counts(column: str) -> None:
    assert len(compared(ledger(**{column: "one"}), ledger(**{column: "two"}))) == 1


def test_a_token_that_is_there_is_not_one_that_is_missing() -> None:
    assert len(compared(ledger(lease_token=4), ledger(lease_token=None))) == 1


def test_events_are_numbered_within_their_file() -> None:
    def events(*ids: int, what: str = "loaded") -> RunRecord:
        rows = {f"[{n} 0007 plant/a.csv@1].what": what for n in ids}
        return RunRecord(states={"done": {"table file_events": rows}})

    assert compared(events(3, 5), events(4, 9)) == []
    assert len(compared(events(3, 5), events(3))) == 1
    assert len(compared(events(3), events(3, what="claimed"))) == 1


@pytest.mark.parametrize(("source", "counts"), [("plant", 0), ("outbox", 1)])
def test_published_counts_where_no_worker_ran(source: str, counts: int) -> None:
    """Recorded only if no worker was faster."""

    def events(*what: str) -> RunRecord:
        rows = {f"[{n} 0007 {source}/a.csv@1].what": w for n, w in enumerate(what)}
        return RunRecord(states={"done": {"table file_events": rows}})

    published = events("registered", "published", "claimed")
    assert bool(compared(published, events("registered", "claimed"))) == bool(counts)


def test_messages_are_compared_in_an_order_of_their_own() -> None:
    def message(name: str, subject: str) -> dict[str, Any]:
        headers = {"argsrepr": f"file={name}", "id": subject}
        return {"queue": "q", "headers": headers, "body": [[{"id": name, "subject": subject}]]}

    before = RunRecord(messages={"new": [message("a", "1"), message("b", "2")]})
    after = RunRecord(messages={"new": [message("b", "2"), message("a", "3")]})
    assert compared(before, after) == ["new: message 1.body[0][0].subject: 1 -> 3"]


def test_durations_of_commands_are_none_of_their_texts() -> None:
    def record_of(text: str) -> RunRecord:
        return RunRecord(commands={"000 status": {"stdout": text, "exit code": 0}})

    assert compared(record_of("waits for 3.2 s"), record_of("waits for 14 s")) == []
    assert len(compared(record_of("3 files wait"), record_of("4 files wait"))) == 1
