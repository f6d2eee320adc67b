"""What the rules refuse and flag, and how quality is told."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.profile import Profile
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.reading import read
from sensorflow.core.readings import Flag
from sensorflow.core.reshape import reshape
from sensorflow.errors import Code, Permanent

RECEIVED = 1_577_836_800 * 10**9  # 2020-01-01T00:00:00Z
BASE = {"format": "csv", "time": {"column": "t", "format": "epoch_s"}, "sensor": {"constant": "s"}}


def run(
    values: list[str], start: int = 1_577_836_800 - 3600, unit: str = "C", **rule: Any
) -> tuple[list[tuple[float, int]], list[tuple[int | None, str]]]:
    """((value, quality) of each reading, (line, code) of each reject)."""
    rows = "".join(f"{start + 60 * i},{v}\n" for i, v in enumerate(values))
    profile = Profile.model_validate(
        {**BASE, "columns": {"v": {"type": "k", "unit": unit}}, "rules": {"k": rule}}
    )
    data = io.BytesIO(("t,v\n" + rows).encode())
    watch, seen = QualityFlagger(profile.rules), Deduplicator()
    readings: list[tuple[float, int]] = []
    rejects: list[tuple[int | None, str]] = []
    for accepted in read(data, profile, FilePath(), io.BytesIO, None, RECEIVED):
        silver = reshape(accepted.bronze, watch, seen).silver
        pairs = zip(silver["value"].to_pylist(), silver["quality"].to_pylist(), strict=True)
        readings += pairs
        rejects += [(r.line_no, r.code) for r in accepted.rejects]
    return readings, rejects


@pytest.mark.parametrize(
    ("values", "rule", "refused"),
    [
        (["1", "99", "-5"], {"min": 0, "max": 50}, [(3, Code.RULE_RANGE), (4, Code.RULE_RANGE)]),
        (["1", "", "2"], {"required": True}, [(3, Code.RULE_REQUIRED)]),
        (["1", "1.5"], {"integer": True}, [(3, Code.RULE_INTEGER)]),
        (["0", "1", "2"], {"allowed": [0, 1]}, [(4, Code.RULE_ALLOWED)]),
        (["1"], {"units": ["K", "F"]}, [(2, Code.RULE_UNIT)]),
        (["1", "3", "2", "3"], {"monotonic": "increasing"}, [(4, Code.RULE_MONOTONIC)]),
        (["3", "1", "2"], {"monotonic": "decreasing"}, [(4, Code.RULE_MONOTONIC)]),
    ],
)
def test_a_rule_refuses_what_breaks_it(
    values: list[str], rule: dict[str, Any], refused: list[tuple[int, Code]]
) -> None:
    readings, rejects = run(values, **rule)
    assert rejects == refused
    present = [v for v in values if v]
    assert len(readings) == len(present) - sum(c is not Code.RULE_REQUIRED for _, c in refused)


def test_a_refused_reading_is_none_that_others_are_held_against() -> None:
    readings, rejects = run(["100", "9999", "101"], max=1000, monotonic="increasing")
    assert [v for v, _ in readings] == [100.0, 101.0]
    assert rejects == [(3, Code.RULE_RANGE)]


def test_the_future_begins_after_the_arrival_and_what_is_allowed() -> None:
    readings, rejects = run(["1"] * 130, future="30m")
    assert len(readings) == 60 + 30 + 1
    assert {code for _, code in rejects} == {Code.RULE_FUTURE}
    assert len(run(["1"] * 130, future="2h")[1]) == 0


def test_a_rule_may_flag_and_leave_the_reading() -> None:
    readings, rejects = run(["1", "99", "2"], max=50, severity="flag")
    assert rejects == []
    assert readings == [(1.0, 0), (99.0, Flag.RANGE), (2.0, 0)]


def test_flatline_spike_and_gap_are_told_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorflow.core.formats import lines

    values = ["1", "2", "2", "2", "2", "90", "3"]
    expected = run(values, flatline=3, spike=1)
    assert [q for _, q in expected[0]] == [
        0,
        0,
        0,
        Flag.FLATLINE,
        Flag.FLATLINE,
        Flag.SPIKE,
        Flag.SPIKE,
    ]
    for size in (20, 30, 60):
        monkeypatch.setattr(lines, "BLOCK", size)
        assert run(values, flatline=3, spike=1) == expected
    assert [q for _, q in run(["1", "2"], gap="59s")[0]] == [0, Flag.GAP]
    assert [q for _, q in run(["1", "2"], gap="60s")[0]] == [0, 0]


def test_rules_hold_for_types_by_pattern_and_for_all() -> None:
    table = {**BASE, "columns": ["temp_1", "temp_2", "rh"]}
    table["rules"] = {"~^temp": {"max": 50}, "*": [{"min": 0}, {"max": 99, "severity": "flag"}]}
    data = io.BytesIO(b"t,temp_1,temp_2,rh\n1,60,-1,120\n")
    (accepted,) = read(data, Profile.model_validate(table), FilePath(), io.BytesIO)
    assert [(r.column, r.code) for r in accepted.rejects] == [
        ("temp_1", Code.RULE_RANGE),
        ("temp_2", Code.RULE_RANGE),
    ]
    assert accepted.bronze["quality"].to_pylist() == [Flag.RANGE]


def test_the_loggers_own_flag_is_kept_or_refuses() -> None:
    quality = {"column": "qc", "good": ["0"], "reject": ["9"]}
    table = {**BASE, "columns": {"v": {"quality": quality}}}
    data = io.BytesIO(b"t,v,qc\n1,1,0\n2,2,1\n3,3,9\n")
    (accepted,) = read(data, Profile.model_validate(table), FilePath(), io.BytesIO)
    assert accepted.bronze["quality"].to_pylist() == [0, Flag.SOURCE]
    assert [(r.line_no, r.code) for r in accepted.rejects] == [(4, Code.QUALITY_REFUSED)]


DRIFTED = b"t,v,new\n1,1,x\n2,2,\n"


def drift(policy: dict[str, str], data: bytes = DRIFTED, **profile: Any) -> Any:
    profile_ = Profile.model_validate({**BASE, "columns": {"v": {"unit": "C"}}, **profile})
    (found,) = read(
        io.BytesIO(data), profile_, FilePath(), io.BytesIO, Drift.model_validate(policy)
    )
    return found


def test_new_columns_are_noted_rescued_or_quarantine_the_file() -> None:
    assert drift({}).drift == ("new column 'new'",)
    assert drift({}).bronze["rescued"].to_pylist() == [None, None]
    assert drift({"new": "rescue"}).bronze["rescued"].to_pylist() == ['{"new": "x"}', None]
    with pytest.raises(Permanent, match="'new'") as caught:
        drift({"new": "quarantine"})
    assert caught.value.code is Code.DRIFT
    assert drift({"new": "quarantine"}, ignore=["new"]).drift == ()


def test_missing_columns_quarantine_unless_told_otherwise() -> None:
    wide = {"columns": {"v": {}, "gone": {}}}
    with pytest.raises(Permanent, match="'gone'"):
        drift({}, **wide)
    found = drift({"missing": "ignore"}, **wide)
    assert found.drift == ("missing column 'gone'", "new column 'new'")
    assert len(found.bronze) == 2
    assert len(drift({}, columns={"v": {}, "gone": {"optional": True}}).bronze) == 2


def test_another_unit_in_the_header_quarantines() -> None:
    data = b"t,v\ns,F\n1,1\n"
    header = {"header": ["name", "unit"]}
    with pytest.raises(Permanent, match="unit 'F', the profile has 'C'"):
        drift({}, data, **header)
    found = drift({"changed": "ignore"}, data, **header)
    assert found.drift == ("v: unit 'F', the profile has 'C'",)
