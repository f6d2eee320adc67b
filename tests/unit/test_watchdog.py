"""When a child of a worker is stuck, as its parent sees it."""

from __future__ import annotations

from workers.board import Board, Slot
from workers.watchdog import judge

SILENT = 20.0
IDLE = Slot(pid=7, beat=100.0)


def test_a_child_that_holds_nothing_is_left_alone() -> None:
    assert judge(IDLE, 10_000.0, SILENT) is None


def test_a_child_that_works_and_answers_is_left_alone() -> None:
    assert judge(Slot(pid=7, beat=5_000.0, since=1.0), 5_010.0, SILENT) is None


def test_a_child_that_does_not_answer_is_stuck() -> None:
    found = judge(Slot(pid=7, beat=100.0, since=90.0), 121.0, SILENT)
    assert found is not None
    assert found.reading == 0


def test_a_decoder_has_its_time_and_a_little_more() -> None:
    slot = Slot(pid=7, beat=260.0, since=100.0, began=100.0, until=200.0, reading=3)
    assert judge(slot, 214.0, SILENT * 10) is None
    found = judge(slot, 216.0, SILENT * 10)
    assert found is not None
    assert found.reading == 3


def test_what_a_child_says_is_seen_and_taken_back() -> None:
    board = Board()
    board.mark(3, 60.0)  # nobody joined: nothing is written
    assert board.slots() == []
    board.join(5)
    board.beat()
    board.mark(3, 60.0)
    [(number, slot)] = board.slots()
    assert (number, slot.reading, round(slot.until - slot.began)) == (5, 3, 60)
    board.mark(0, 0.0)
    assert board.slots()[0][1].reading == 0
    assert board.claims(5) == []
