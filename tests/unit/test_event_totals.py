"""Events are counted once each, in whatever order their transactions commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core import event_totals
from sensorflow.core.event_totals import (
    GRACE_SECONDS,
    EventFollower,
    EventGroup,
    EventTotals,
    Ids,
    Page,
)


@dataclass
class Log:
    """The table of events: ids are given at the start of a transaction, and seen after its commit."""

    given: int = 0
    open: dict[int, list[tuple[int, EventGroup]]] = field(default_factory=dict)
    seen: dict[int, EventGroup] = field(default_factory=dict)
    next: int = 1

    def insert(self, transaction: int | None, group: EventGroup) -> int:
        """In a transaction that is open, or in a new one. Returns its number."""
        if transaction is None:
            transaction, self.next = self.next, self.next + 1
        self.given += 1
        self.open.setdefault(transaction, []).append((self.given, group))
        return transaction

    def end(self, transaction: int, commit: bool) -> None:
        events = self.open.pop(transaction)
        if commit:
            self.seen.update(events)

    def page(self, ranges: Sequence[Ids]) -> Page:
        newest = max(self.seen, default=0)
        asked = [n for r in ranges for n in range(r.low, min(r.high, newest) + 1)]
        found = [n for n in asked if n in self.seen]
        missing = [Ids(n, n) for n in asked if n not in self.seen]
        top = max((min(r.high, newest) for r in ranges), default=0)
        oldest = min(self.open, default=self.next)
        return Page(top, missing, [self.seen[n] for n in found], found, oldest, self.next)


def group(number: int) -> EventGroup:
    what = ("loaded", "claimed", "will be tried again", "stage done")[number % 4]
    return EventGroup(
        *("abc"[number % 3], what, "load", f"F20{number % 2}", number % 5, number % 7),
        *(1, number / 8, number, number / 4),
    )


def recounted(log: Log) -> EventTotals:
    totals = EventTotals()
    totals.add(log.seen.values())
    return totals


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 60), st.booleans()),
        st.tuples(st.sampled_from(["commit", "roll back"]), st.integers(0, 5), st.none()),
        st.tuples(st.just("look"), st.integers(0, 2), st.none()),
    ),
    max_size=60,
)


@given(before=STEPS, steps=STEPS, span=st.integers(1, 6))
def test_what_is_followed_equals_a_recount(
    before: list[object], steps: list[object], span: int
) -> None:
    log = Log()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_totals, "SPAN", span)
        play(log, before, None)
        follower = EventFollower(max(log.seen, default=0))
        play(log, steps, follower)
        for transaction in list(log.open):
            log.end(transaction, transaction % 2 == 0)
        while follower.add(log.page(follower.wanted()), 0.0):
            pass
    assert vars(follower.totals) == vars(recounted(log))


def play(log: Log, steps: list[object], follower: EventFollower | None) -> None:
    now = 0.0
    for what, number, flag in steps:  # type: ignore[misc]
        if what == "insert":
            old = sorted(log.open)
            transaction = old[number % len(old)] if flag and old else None
            log.insert(transaction, group(number))
        elif what == "look" and follower is not None:
            now += number * GRACE_SECONDS
            follower.add(log.page(follower.wanted()), now)
        elif log.open and what in ("commit", "roll back"):
            log.end(sorted(log.open)[number % len(log.open)], what == "commit")


def test_the_id_of_a_transaction_that_was_rolled_back_is_given_up_in_the_end() -> None:
    log = Log()
    lost = log.insert(None, group(1))
    late = log.insert(None, group(2))
    log.end(log.insert(None, group(3)), commit=True)
    follower = EventFollower(0)
    follower.add(log.page(follower.wanted()), 0.0)
    log.end(lost, commit=False)
    follower.add(log.page(follower.wanted()), GRACE_SECONDS - 1)
    assert follower.wanted()[:-1] == [Ids(1, 1), Ids(2, 2)]
    follower.add(log.page(follower.wanted()), GRACE_SECONDS + 1)
    assert len(follower.wanted()) == 3, "a transaction is open that may hold them"
    log.end(late, commit=True)
    follower.add(log.page(follower.wanted()), GRACE_SECONDS - 1)
    assert follower.wanted()[:-1] == [Ids(1, 1)], "its process may be suspended"
    follower.add(log.page(follower.wanted()), GRACE_SECONDS + 2)
    assert follower.wanted()[:-1] == []
    assert vars(follower.totals) == vars(recounted(log))


def test_ids_that_have_been_missing_since_long_ago_are_not_asked_for_again() -> None:
    log = Log(given=5)
    for number in range(3):
        log.end(log.insert(None, group(number)), commit=True)
    follower = EventFollower(event_totals.RECENT + 100)
    follower.add(log.page(follower.wanted()), 0.0)
    assert len(follower.wanted()) == 1


def test_failures_are_counted_by_code_and_durations_by_bucket() -> None:
    totals = EventTotals()
    totals.add(
        [
            EventGroup("a", "will be tried again", code="I501", events=2),
            EventGroup(
                "a",
                "loaded",
                "load",
                bucket=3,
                late_bucket=1,
                events=2,
                seconds=1.5,
                rows=7,
                late=2,
            ),
            EventGroup("b", "stage done", "load", bucket=4, seconds=0.5, rows=7),
        ]
    )
    assert totals.codes == {("will be tried again", "a", "I501"): 2}
    assert totals.rows_loaded == {"a": 7}
    assert totals.stages == {("load", 3): 2, ("load", 4): 1}
    assert totals.stage_seconds == {"load": 2.0}
    assert (totals.latencies, totals.latency_seconds) == ({("a", 1): 2}, {"a": 2})
