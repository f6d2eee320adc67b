"""When a child of a worker is stuck, as its parent sees it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from patience import PATIENCE

from sensorflow.core.states import Stage
from sensorflow.engine import watchdog
from sensorflow.engine.board import Board, Slot
from sensorflow.engine.watchdog import EndedChild, find_stuck
from sensorflow.flow.clock import now
from sensorflow.ports.claims import Claim
from sensorflow.settings import Settings

SILENT = 20.0
IDLE = Slot(pid=7, beat=100.0)


def test_a_child_that_holds_nothing_is_left_alone() -> None:
    assert find_stuck(IDLE, 10_000.0, SILENT) is None


def test_a_child_that_works_and_answers_is_left_alone() -> None:
    assert find_stuck(Slot(pid=7, beat=5_000.0, since=1.0), 5_010.0, SILENT) is None


def test_a_child_that_does_not_answer_is_stuck() -> None:
    found = find_stuck(Slot(pid=7, beat=100.0, since=90.0), 121.0, SILENT)
    assert found is not None
    assert found.reading == 0


def test_a_decoder_has_its_time_and_a_little_more() -> None:
    slot = Slot(pid=7, beat=260.0, since=100.0, began=100.0, until=200.0, reading=3)
    assert find_stuck(slot, 214.0, SILENT * 10) is None
    found = find_stuck(slot, 216.0, SILENT * 10)
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
    assert board.claims(5, os.getpid()) == []
    board.hold([claim(3)])
    assert board.claims(5, os.getpid()) == [claim(3)]
    assert board.claims(5, os.getpid() + 1) == []  # another one has its place by now


def claim(file_id: int) -> Claim:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    stage = Stage.VALIDATE
    return Claim(file_id, 1, 1, stage, "s", b"s.csv", 1, b"", b"", 1, "", at, 0, "")


@contextmanager
def holding(board: Board, file_id: int) -> Iterator[int]:
    """A child of this process that holds a file, and has the board's place 5."""
    child = os.fork()
    if not child:
        board.join(5)
        board.hold([claim(file_id)])
        time.sleep(60)
        os._exit(0)
    try:
        until = time.monotonic() + PATIENCE
        while not any(slot.pid == child and slot.since for _, slot in board.slots()):
            assert time.monotonic() < until
            time.sleep(0.01)
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_a_child_held_is_read_before_another_one_has_its_place() -> None:
    board, ended = Board(), list[EndedChild]()
    with holding(board, 1):
        watchdog.check(board, now() + 100, Settings(), ended)
    with holding(board, 2):
        assert [one.claims for one in ended] == [[claim(1)]]


def test_another_child_is_ended_while_the_database_is_away() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    board, ended = Board(), list[EndedChild]()
    try:
        for file_id in (1, 2):
            with holding(board, file_id) as child:
                watchdog.check(board, now() + 100, settings, ended)
                os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
                watchdog.check(board, now(), settings, ended)
        assert [one.claims for one in ended] == [[claim(1)], [claim(2)]]
        assert all(one.recorder and one.recorder.poll() is None for one in ended)
    finally:
        for one in ended:
            if one.recorder is not None:
                one.recorder.kill()
                one.recorder.wait()


def test_a_decoder_that_does_not_come_back_after_its_lease_was_lost_is_ended() -> None:
    slot = Slot(pid=7, beat=260.0, since=100.0, began=100.0, until=3700.0, reading=3, lost=230.0)
    assert find_stuck(slot, 249.0, SILENT * 10) is None
    found = find_stuck(slot, 251.0, SILENT * 10)
    assert found is not None
    assert (found.reading, found.reason) == (
        3,
        "the lease was lost 21 s ago, and the decoder did not return",
    )
    assert find_stuck(replace(slot, reading=0), 251.0, SILENT * 10) is None


def test_a_lost_lease_is_held_against_the_file_that_is_read_and_no_other() -> None:
    board = Board()
    board.join(5)
    board.mark(3, 60.0)
    board.lose(4)
    assert board.slots()[0][1].lost == 0.0
    board.lose(3)
    assert board.slots()[0][1].lost > 0.0
    board.mark(0, 0.0)
    assert board.slots()[0][1].lost == 0.0


def test_children_are_busy_for_as_long_as_the_one_that_claimed_last() -> None:
    board, me = Board(), os.getpid()
    board.join(5)
    assert board.busy([me]) == 0.0
    board.hold([claim(3)])
    assert board.busy([me]) > 0.0
    assert board.busy([me, me + 1]) == 0.0  # another one has nothing
    assert board.busy([]) == 0.0
