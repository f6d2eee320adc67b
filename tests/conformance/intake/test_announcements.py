"""What gates say of files, on PostgreSQL and in memory alike: see `ports.ledger.Ledger`."""

from __future__ import annotations

from dataclasses import replace

from samples import add, arrival, claim

from sensorflow.core.gates.announced import Announced, Announcement
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Permanent
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import Kind, OnChange, Registration
from sensorflow.ports.ledger import Ledger

WRONG = Announced("a.csv.md5", 3, (("md5", "00" * 16),), 7)
RIGHT = Announced("a.csv.md5", None, (("md5", "11" * 16), ("sha1", "22" * 20)))


def enter(
    ledger: Ledger, what: Announced, mark: str, key: bytes = b"a.csv", seen: str = ""
) -> Registration:
    announcement = Announcement(b"a.csv.md5", mark, what)
    found = replace(arrival(key, mark=seen or mark), announcement=announcement)
    return ledger.register_many([found], OnChange.MERGE, False)[0]


def quarantine(ledger: Ledger, file_id: int) -> None:
    wrong = Permanent(Code.GATE_MISMATCH, "other bytes")
    ledger.dead_letter(claim(ledger, file_id), wrong, Counts())
    claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert claimed is not None
    ledger.mark_quarantined(claimed, "there", StageReport(Stage.QUARANTINE, 0, 0))


def test_what_gates_said_is_there_the_newest_first(ledger: Ledger) -> None:
    plain = add(ledger, b"b.csv", 2)
    one = enter(ledger, WRONG, "m1").file_id
    assert enter(ledger, RIGHT, "m2", b"c.csv") == Registration(one, 1, Kind.ALIAS)
    assert ledger.announced(one) == [RIGHT, WRONG]
    assert enter(ledger, WRONG, "m1").kind is Kind.SEEN
    assert ledger.announced(one) == [WRONG, RIGHT]
    assert ledger.announced(plain) == []


def test_the_names_that_a_gate_has_opened_for_are_known(ledger: Ledger) -> None:
    enter(ledger, WRONG, "m1")
    enter(ledger, WRONG, "m1", b"c.csv", "c")
    assert ledger.announced_by("plant", b"a.csv.md5", "m1") == {b"a.csv", b"c.csv"}
    assert ledger.announced_by("plant", b"a.csv.md5", "m2") == frozenset()
    assert ledger.announced_by("other", b"a.csv.md5", "m1") == frozenset()
    assert ledger.announced_by("plant", b"b.csv.md5", "m1") == frozenset()


def test_a_file_that_differed_from_its_gate_has_another_try_with_another(ledger: Ledger) -> None:
    file_id = enter(ledger, WRONG, "m1").file_id
    quarantine(ledger, file_id)
    again = enter(ledger, RIGHT, "m2")
    assert (again.kind, again.version) == (Kind.NEW, 2)
    assert ledger.announced(again.file_id) == [RIGHT]
    assert ledger.announced(file_id) == [WRONG]
