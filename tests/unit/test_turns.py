"""The turns of the sources in the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress

from sensorflow.flow.intake.turns import Turns


def every(_source: str) -> AbstractContextManager[None]:
    return nullcontext()


def test_a_group_has_files_of_each_feed_in_turn() -> None:
    turns: Turns[str] = Turns()
    turns.add("flood", "scan", iter(f"flood {n}" for n in range(1000)))
    turns.add("quiet", "reported", iter(["quiet 0"]))
    assert turns.gather(4, 60, every) == ["flood 0", "quiet 0", "flood 1", "flood 2"]
    assert turns


def test_where_nothing_is_ready_the_others_have_their_turn() -> None:
    turns: Turns[str] = Turns()
    turns.add("flood", "scan", iter([None] * 5 + ["flood"]))
    turns.add("quiet", "scan", iter(["a", "b"]))
    assert turns.gather(10, 60, every) == ["a", "b", "flood"]
    assert not turns


def test_what_was_put_back_is_not_gathered_twice() -> None:
    turns: Turns[str] = Turns()
    turns.put_back("flood", ["a", "b"], first=False)
    turns.put_back("quiet", ["q"], first=True)
    turns.add("flood", "reported", iter(["b"]))
    assert turns.gather(10, 60, every) == ["q", "a", "b"]


def test_a_feed_that_breaks_ends_no_other() -> None:
    def broken() -> Iterator[str]:
        raise OSError
        yield ""

    turns: Turns[str] = Turns()
    turns.add("away", "scan", broken())
    turns.add("quiet", "scan", iter(["q"]))
    assert turns.gather(10, 60, lambda _: suppress(OSError)) == ["q"]
