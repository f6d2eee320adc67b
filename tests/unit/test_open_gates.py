"""Gates that are still being written, or touched while their files are taken in."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

import pytest
from gated import Drop

from sensorflow.adapters.feeds.folder.gates import AdmittedFile, make_gates

SET = b'["a.csv", "b.csv"]'
DAY = date(2026, 1, 31)


def waits_for_a_new_gate(drop: Drop) -> bool:
    """Whether the gate that is there does not open for the next version, also after a restart."""
    drop.put("a.csv", b"the next version", at=5_000_000)
    before = drop.ask("a.csv")
    drop.start()
    return isinstance(before, str) and drop.ask("a.csv") == before and "another version" in before


@pytest.mark.parametrize("gate", ["{name}.done", "{name}.md5"])
def test_a_gate_opens_when_its_writer_has_closed_it(tmp_path: Path, gate: str) -> None:
    drop = Drop(tmp_path / "drop", gate)
    drop.put("a.csv", b"1")
    name = gate.format(name="a.csv")
    with (drop.folder.root / name).open("wb") as writer:
        writer.write(b"c4ca4238a0b923820dcc509a6f75849b")
        writer.flush()
        assert drop.ask("a.csv") == f"its gate {name}: it is being written"
    assert drop.gates.gate_arrived(name.encode()) == [b"a.csv"]
    assert drop.take("a.csv") == [name.encode()]


def test_a_gate_that_is_given_back_does_not_open_for_the_next_version(tmp_path: Path) -> None:
    """Somebody opens it while it is put away."""
    drop = Drop(tmp_path / "drop", "{name}.done")
    drop.put("a.csv", b"1")
    drop.put("a.csv.done")
    assert isinstance(drop.ask("a.csv"), AdmittedFile)
    with (drop.folder.root / "a.csv.done").open("ab"):
        drop.folder.dispose(drop.enter("a.csv"), DAY)
    assert (drop.folder.root / "a.csv.done").exists()
    assert waits_for_a_new_gate(drop)
    drop.put("a.csv.done", at=6_000_000)
    drop.take("a.csv")


@pytest.mark.parametrize("gate", ["{name}.done", "{name}.md5", "*.manifest.json"])
@pytest.mark.parametrize("after", ["keep", "archive"])
@pytest.mark.parametrize("touch", ["mode", "time"])
def test_a_gate_that_is_touched_while_its_file_is_landed_is_the_same_gate(
    tmp_path: Path, gate: str, after: str, touch: str
) -> None:
    """As `scp -p` and `cp -p` do after they have closed it."""
    is_set = "*" in gate
    drop = Drop(tmp_path / "drop", {"manifest": gate} if is_set else gate, after=after)
    drop.put("a.csv", b"1")
    name = gate.format(name="a.csv").replace("*", "x")
    drop.put(name, b'["a.csv"]' if is_set else b"c4ca4238a0b923820dcc509a6f75849b")
    assert isinstance(drop.ask("a.csv"), AdmittedFile)
    if touch == "mode":
        (drop.folder.root / name).chmod(0o640)
    else:
        os.utime(drop.folder.root / name, (1_000_000, 1_000_000))
    drop.folder.dispose(drop.enter("a.csv"), DAY)
    assert (drop.folder.root / name).exists() == (after == "keep")
    if after == "keep":
        assert waits_for_a_new_gate(drop)


def test_a_manifest_that_is_touched_while_its_set_is_taken_in_stays_the_same(
    tmp_path: Path,
) -> None:
    drop = Drop(tmp_path / "drop", {"manifest": "*.manifest.json"})
    for name, content in (("a.csv", b"1"), ("b.csv", b"2"), ("x.manifest.json", SET)):
        drop.put(name, content)
    drop.ask("a.csv")
    drop.take("b.csv")
    (drop.folder.root / "b.csv").unlink()
    os.utime(drop.folder.root / "x.manifest.json", (1_000_000, 1_000_000))
    assert drop.take("a.csv") == [b"x.manifest.json"]


def test_a_manifest_is_read_when_its_writer_has_closed_it(tmp_path: Path) -> None:
    """Closing alone changes nothing of it."""
    drop = Drop(tmp_path / "drop", {"manifest": "*.manifest.json"})
    drop.put("a.csv", b"1")
    with (drop.folder.root / "x.manifest.json").open("wb") as writer:
        writer.write(b'["a.csv"]')
        writer.flush()
        assert "x.manifest.json: it is being written" in str(drop.ask("a.csv"))
        assert "it is being written" in next(drop.gates.unmet())[2]
    assert drop.gates.gate_arrived(b"x.manifest.json") == [b"a.csv"]
    assert drop.take("a.csv") == [b"x.manifest.json"]


@pytest.mark.parametrize("polling", [True, False])
def test_on_a_share_a_gate_opens_when_it_has_not_changed_for_the_settling_time(
    tmp_path: Path, polling: bool
) -> None:
    """Nothing tells there whether somebody has it open."""
    drop = Drop(tmp_path / "drop", "{name}.done", polling=polling, after="keep")
    settle = 0.05
    gates = make_gates(drop.folder, drop.ledger, settle)
    assert gates is not None
    drop.gates = gates
    drop.put("a.csv", b"1")
    with (drop.folder.root / "a.csv.done").open("wb") as writer:
        before = drop.ask("a.csv")
        assert "its gate a.csv.done: it " in str(before)
        writer.write(b"ok")
    if not polling:
        assert isinstance(drop.ask("a.csv"), AdmittedFile)
        return
    assert drop.ask("a.csv") == before == "its gate a.csv.done: it changed a moment ago"
    assert gates.recheck() == []
    time.sleep(settle)
    assert gates.recheck() == [b"a.csv"]
    drop.take("a.csv")
    assert waits_for_a_new_gate(drop)
