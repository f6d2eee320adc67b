"""The size of the fleet: properties of the division among nodes, and five simulated days against
Celery's rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaling.days import DAYS
from scaling.simulation import Celery, Ours, World, run

from sensorflow.core.scaling import (
    FILE_SECONDS,
    RESERVED_BYTES,
    Load,
    LoaderLimit,
    Need,
    Node,
    ProcessRange,
    Rate,
    Scaler,
    distribute,
    need,
    work_of,
)

NODES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.tuples(st.integers(0, 3), st.integers(0, 20)).map(lambda p: ProcessRange(p[0], max(p))),
    min_size=1,
    max_size=6,
)


@given(NODES, st.integers(0, 150))
def test_nodes_divide_the_fleet_within_their_limits(nodes, total):
    given_ = distribute(total, nodes)
    assert given_.keys() == nodes.keys()
    assert all(nodes[name].least <= count <= nodes[name].limit for name, count in given_.items())
    least, most = sum(n.least for n in nodes.values()), sum(n.limit for n in nodes.values())
    assert sum(given_.values()) == min(max(total, least), most)


@given(NODES, st.integers(0, 150), st.randoms())
def test_nodes_agree_in_whichever_order_they_learn_of_each_other(nodes, total, chance):
    shuffled = list(nodes.items())
    chance.shuffle(shuffled)
    assert distribute(total, dict(shuffled)) == distribute(total, nodes)


@given(NODES, st.integers(0, 100))
def test_one_more_process_changes_one_node(nodes, total):
    before, after = distribute(total, nodes), distribute(total + 1, nodes)
    assert sum(abs(after[name] - before[name]) for name in nodes) <= 1


def test_work_is_estimated_by_the_rate_of_each_source():
    rates = {"slow": Rate(10, 1000, 20.0), "empty": Rate(4, 0, 2.0)}
    assert work_of({"slow": (10, 1000)}, rates) == pytest.approx(20.0)
    assert work_of({"slow": (10, 2000)}, rates) == pytest.approx(40.0, rel=0.01)
    assert work_of({"empty": (2, 0)}, rates) == pytest.approx(1.0)
    assert work_of({"unknown": (3, 0)}, rates) == pytest.approx(3 * FILE_SECONDS)


def test_an_overloaded_database_limits_only_the_work_that_loads():
    both = need(Load(waiting=300.0, loading=150.0, arriving=0.0))
    assert both.processes() == 100
    assert both.processes(most_loaders=4) == 54
    assert Need(0.2, 0.3).processes() == 1
    assert Need().processes() == 0


def test_the_limit_of_loaders_falls_while_sessions_block_each_other_and_grows_back_in_steps():
    limit = LoaderLimit()
    assert math.isinf(limit.update(0.0, 0.0, 8))
    assert limit.update(1.0, 0.9, 8) == 6
    assert limit.update(2.0, 0.9, 8) == 6, "the effect is measured first"
    assert limit.update(6.0, 0.9, 6) == 4.5
    assert limit.update(30.0, 0.4, 4) == 4.5, "neither overloaded nor free"
    assert limit.update(46.0, 0.0, 4) == 5.5
    assert limit.update(47.0, 0.0, 4) == 5.5
    assert math.isinf(limit.update(63.0, 0.0, 2))


def test_a_node_keeps_memory_free_and_does_not_grow_on_busy_cpus():
    assert Node(1, 40, 2, cpus=4, busy=0.5).limit == 40
    assert Node(1, 40, 2, cpus=4, busy=0.99).limit == 8
    assert Node(1, 40, 20, cpus=4, busy=0.99).limit == 20, "a busy CPU ends no process"
    free = RESERVED_BYTES + 350.0
    assert Node(1, 40, 5, free_bytes=free, process_bytes=100.0).limit == 8
    assert Node(1, 40, 5, free_bytes=0.0, process_bytes=RESERVED_BYTES).limit == 4
    assert Node(2, 40, 5, free_bytes=0.0, process_bytes=1.0).limit == 2


def test_processes_are_added_at_once_and_ended_after_a_while():
    scaler, node = Scaler(shrink_after=15.0), Node(1, 8, 1)

    def at(second, load):
        return scaler.share(scaler.fleet(second, load, 1), "a", node, {})

    assert at(0.0, Load(waiting=9.0, loading=9.0)) == 3
    assert at(1.0, Load(waiting=300.0, loading=300.0)) == 8
    assert at(10.0, Load()) == 8
    assert at(15.9, None) == 8, "the ledger is away"
    assert at(16.1, None) == 1


@pytest.mark.parametrize("day", DAYS)
def test_the_fleet_does_better_than_celerys_rule(day):
    """Backlog and processes, weighed against Celery's with equal weights."""
    world = DAYS[day]()
    ours, theirs = run(world, Ours(world)), run(world, Celery(world))
    assert ours.left == theirs.left == 0
    backlog, workers = ours.backlog / theirs.backlog, ours.workers / theirs.workers
    assert (backlog + workers) / 2 < 1
    assert backlog < 1.01
    assert workers < 1


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_a_steady_stream_keeps_the_fleet_at_one_size(nodes):
    """Three processes suffice for it, on however many nodes."""
    world = World([(0.5 * n, 1, 1.2) for n in range(3600)], 1800, nodes=nodes, cpus=4)
    done = run(world, Ours(world))
    settled = [sizes for at, sizes in done.sizes if at > 60]
    assert len(settled) <= 4
    assert max(map(sum, settled), default=sum(done.sizes[-1][1])) <= nodes + 3
    assert done.backlog / world.length < 12


def test_two_nodes_share_a_burst_evenly_and_neither_is_idle():
    world = World([(60.0, 1000, 0.2)], 400, nodes=2)
    done = run(world, Ours(world))
    assert done.peak == 8
    assert {abs(a - b) for _, (a, b) in done.sizes} <= {0, 1, 2, 3}
    assert done.changes <= 8
    reached = next(at for at, sizes in done.sizes if sum(sizes) == 8)
    assert reached < 65
    assert done.sizes[-1][1] == (1, 1)
