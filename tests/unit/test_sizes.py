"""What a burst's harness reads from the sizes of pools."""

from __future__ import annotations

from elastic.sizes import Sample, Watched, longest_idle, turns


def watched(*totals: int, limit: int = 4) -> Watched:
    """A sample a second of one node."""
    samples = [
        Sample(float(at), {"a": size}, {"a": size}, {"a": limit}, size, 0)
        for at, size in enumerate(totals)
    ]
    return Watched(samples)


def test_up_and_down_is_one_turn_and_flapping_is_many() -> None:
    assert turns([1, 1, 2, 4, 4, 3, 1, 1]) == 1
    assert turns([1, 4, 1, 4, 1]) == 3
    assert turns([1, 1, 1]) == turns([]) == 0


def test_the_maximum_is_what_the_node_allows_itself() -> None:
    assert watched(1, 1, 2, 3, 4).reached(1.0, 8) == 3.0
    assert watched(1, 1, 2, 3, 4, limit=2).reached(1.0, 8) == 1.0
    assert watched(1, 1, 2, 3, 3).reached(1.0, 8) is None


def test_a_pool_is_back_when_it_stays_small() -> None:
    assert watched(1, 4, 4, 1, 2, 1, 1).returned(2.0, 1) == 3.0
    assert watched(1, 4, 4, 1, 2, 1, 2).returned(2.0, 1) is None


def test_a_node_that_commits_nothing_is_idle_to_the_end() -> None:
    commits = [(0.0, "a"), (1.0, "b"), (2.0, "a"), (9.0, "a")]
    assert longest_idle(commits, ["a", "b"]) == {"a": 7.0, "b": 8.0}
    assert longest_idle(commits, ["a", "b", "c"])["c"] == 9.0
    assert longest_idle([], ["a"]) == {"a": 0.0}
