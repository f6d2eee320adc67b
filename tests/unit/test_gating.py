"""What a daemon asks of gates while files are taken in."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from gated import Drop
from structlog.testing import capture_logs

from sensorflow.adapters.feeds.folder.gates import AdmittedFile
from sensorflow.adapters.feeds.folder.gating import Gating
from sensorflow.core.stability import Stat
from sensorflow.ports.feed import Withheld

JSON = {"manifest": "*.manifest.json"}


def admits(gating: Gating, key: bytes, stat: Stat) -> bool:
    try:
        gating.admit(key, stat)
    except Withheld:
        return False
    return True


def test_files_are_taken_in_while_others_of_their_gate_are_looked_for(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    gating = Gating(drop.folder, drop.ledger)
    for name in ("a.csv", "b.csv", "c.csv"):
        drop.put(name, b"1")
        admits(gating, name.encode(), drop.folder.stat(name.encode()))
    drop.put("x.manifest.json", b'["a.csv", "b.csv", "c.csv"]')
    found = gating.gate_arrived(b"x.manifest.json")
    assert next(found) == (b"a.csv", True)
    assert admits(gating, b"b.csv", drop.folder.stat(b"b.csv"))
    assert list(found) == [(b"c.csv", True)]


def test_the_files_of_a_set_are_returned_once_when_it_is_whole(tmp_path: Path) -> None:
    """Also where the last one is found by a scan."""
    drop = Drop(tmp_path / "drop", JSON)
    gating = Gating(drop.folder, drop.ledger)
    names = [b"a.csv", b"b.csv", b"c.csv"]
    drop.put("x.manifest.json", b'["a.csv", "b.csv", "c.csv"]')
    gating.reload()
    for name in names:
        drop.put(name.decode(), b"1")
        assert admits(gating, name, drop.folder.stat(name)) == (name == b"c.csv")
    assert gating.released() == [b"a.csv", b"b.csv"]
    assert gating.admits(b"a.csv", drop.folder.stat(b"a.csv"))
    assert gating.released() == []


def test_a_set_is_looked_through_once_however_many_files_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come in the order of the manifest, which had them looked at from the first each time."""
    drop, count = Drop(tmp_path / "drop", JSON), 60
    names = [f"{number:03}.csv" for number in range(count)]
    drop.put("x.manifest.json", json.dumps(names).encode())
    drop.gates.reload()
    looked: list[bytes] = []
    state = drop.gates.state
    monkeypatch.setattr(drop.gates, "state", lambda key: looked.append(key) or state(key))
    for name in names:
        drop.put(name, b"1")
        drop.gates.admit(name.encode(), drop.folder.stat(name.encode()))
    assert len(drop.gates.recheck()) == count - 1
    assert len(looked) < 4 * count


def test_a_folder_is_listed_once_for_the_gates_of_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Drop(tmp_path / "drop", "{stem}.ok")
    names = [f"{number}.csv" for number in range(20)]
    for name in (*names, *(f"{number}.ok" for number in range(20)), "7.tsv", "8.part"):
        drop.put(name)
    for name in names:
        assert isinstance(drop.ask(name), AdmittedFile)
    listed: list[object] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scan(path))
    unneeded = {gate for gate, _ in drop.gates.unneeded([name.encode() for name in names])}
    assert unneeded == {f"{number}.ok".encode() for number in range(20)} - {b"7.ok"}
    assert len(listed) == 1


@pytest.mark.parametrize("rules", [{}, {"polling": True}])
@pytest.mark.parametrize("gate", [JSON, "{name}.done"])
def test_who_looks_once_waits_for_no_gate_to_settle(
    tmp_path: Path, gate: object, rules: dict[str, object]
) -> None:
    drop = Drop(tmp_path / "drop", gate, stability_window=3600, **rules)
    drop.put("a.csv", b"1")
    drop.put("a.csv.done")
    drop.put("x.manifest.json", b'["a.csv"]')
    gating = Gating(drop.folder, drop.ledger)
    gating.survey()
    assert admits(gating, b"a.csv", drop.folder.stat(b"a.csv"))


def test_an_overdue_file_is_reported_once_whoever_took_files_in_meanwhile(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", "{name}.done", overdue_after="1s")
    drop.put("a.csv", b"1")
    gating = Gating(drop.folder, drop.ledger)
    stat = replace(drop.folder.stat(b"a.csv"), mtime_ns=0, ctime_ns=0)
    with capture_logs() as logs:
        for _ in range(2):
            gating.forget()
            gating.reload()
            assert not admits(gating, b"a.csv", stat)
            gating.scanned()
    assert [one["event"] for one in logs] == ["gate.overdue"]
    assert gating.state() == {"waiting": 1, "overdue": 1}
