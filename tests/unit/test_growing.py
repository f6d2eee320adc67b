"""Files that grow: what is taken of them, and what they are told from."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from fresh_database import FreshDatabaseWithClock
from growth import HEAD, GrowingSite, line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sensorflow import settings as settings_
from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.core.growth import EDGE, Lines, complete, why_not_growable
from sensorflow.core.partitions import Layer
from sensorflow.core.profile import Profile
from sensorflow.core.states import State
from sensorflow.errors import UsageError
from sensorflow.flow.outcomes import Outcome
from sensorflow.testing.feed import GrowingMemoryFeed


@pytest.fixture
def start(tmp_path: Path, clocked: FreshDatabaseWithClock) -> Iterator[Callable[..., GrowingSite]]:
    """Makes a site; see there."""
    with ExitStack() as stack:
        yield lambda *given, **rules: stack.enter_context(
            closing(GrowingSite(tmp_path, clocked, *given, **rules))
        )


@pytest.fixture(params=[True, False], ids=["one-pass", "stages"])
def site(start: Callable[..., GrowingSite], request: pytest.FixtureRequest) -> GrowingSite:
    return start(inline=request.param)


def sizes(site: GrowingSite, root: int = 1) -> list[int]:
    return [segment.size for segment in site.ledger.segments(root)]


def instants(site: GrowingSite) -> list[int]:
    """As given to `line`."""
    return [row["ts"].minute * 60 + row["ts"].second for row in site.rows]


# --- cutting ---


@pytest.mark.parametrize(
    ("data", "start", "cap", "end"),
    [
        (b"", 0, 100, 0),
        (b"a\nb\nc", 0, 100, 4),
        (b"a\nb\nc", 2, 100, 4),
        (b"a\nb\nc", 4, 100, 4),
        (b"a\nb\nc\n", 0, 3, 2),
        (b"a\nb\nc\n", 0, 1, 0),
        (b"\n" + b"x" * 3 * EDGE, 0, 4 * EDGE, 1),
        (b"x" * 3 * EDGE + b"\n", 0, 4 * EDGE, 3 * EDGE + 1),
    ],
)
def test_a_growth_ends_with_a_line(data: bytes, start: int, cap: int, end: int) -> None:
    assert complete(io.BytesIO(data), start, len(data), cap) == end


@given(st.binary(max_size=300), st.data())
def test_the_edges_of_a_part_are_those_of_the_file(data: bytes, draw: st.DataObject) -> None:
    from sensorflow.core import growth

    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    edge, growth.EDGE = growth.EDGE, 16
    try:
        part = Lines(io.BytesIO(data), start, end)
        while part.read(7):
            pass
        assert part.edges(io.BytesIO(data), start, end) == growth.edges(io.BytesIO(data), end)
        assert part.count == data[start:end].count(b"\n")
    finally:
        growth.EDGE = edge


# --- growing ---


def test_only_what_is_new_is_landed_and_loaded(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.write(line(2) + line(3))
    site.take()
    site.write(line(4))
    site.take()
    assert sizes(site) == [len(HEAD + line(1)), 2 * len(line(2)), len(line(4))]
    assert site.account() == (4, 4, 0, 0)
    assert site.lines() == [2, 3, 4, 5]


def test_a_half_line_waits_for_its_end(site: GrowingSite) -> None:
    site.write(HEAD + line(1) + line(2, 21.5)[:-8])
    site.take()
    site.take()
    assert site.values == [1.5]
    site.write(line(2, 21.5)[-8:] + line(3))
    site.take()
    assert site.values == [1.5, 1.5, 21.5]
    assert len(site.ids) == 2


def test_nothing_is_taken_before_there_is_one_whole_line(site: GrowingSite) -> None:
    site.write("time,sens")
    site.take()
    assert site.ids == []
    site.write("or,type,value,unit\n")
    site.take()
    site.write(line(1))
    site.take()
    assert site.account() == (1, 1, 0, 0)
    assert site.states == [State.LOADED] * 2


def test_lines_may_end_with_carriage_return_and_newline(site: GrowingSite) -> None:
    text = (HEAD + line(1) + line(2) + line(3)).replace("\n", "\r\n")
    cut = text.index("\r\n", 80) + 1  # between the two
    site.write(text[:cut])
    site.take()
    site.write(text[cut:])
    site.take()
    assert site.account() == (3, 3, 0, 0)
    assert site.lines() == [2, 3, 4]


def test_a_file_grows_at_most_once_each_interval(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.write(line(2))
    assert not site.inspect(5)
    assert site.inspect(5)
    site.write(line(3))
    assert not site.inspect(30)  # nobody has loaded the last one
    assert site.inspect(30)


def test_the_interval_is_since_the_last_growth(site: GrowingSite) -> None:
    for second in (1, 2, 3):
        site.write(line(second) if second > 1 else HEAD + line(1))
        site.take()
    site.write(line(4))
    assert not site.inspect(5)
    assert site.inspect(6)


def test_what_is_larger_than_a_growth_may_be_is_taken_at_once_in_parts(
    site: GrowingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.flow.intake.look.CAP", 200)
    site.write(HEAD + "".join(line(n) for n in range(20)))
    while site.inspect(0):
        pass
    site.work()
    site.take()
    assert max(sizes(site)) <= 200
    assert site.account() == (20, 20, 0, 0)
    assert site.lines() == list(range(2, 22))


def test_a_restart_takes_nothing_twice_and_nothing_less(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.inspect()
    site.restart()
    site.inspect()
    assert len(site.ids) == 1
    site.work()
    site.write(line(2))
    site.restart()
    site.take()
    assert sizes(site) == [len(HEAD + line(1)), len(line(2))]
    assert site.account() == (2, 2, 0, 0)


def test_a_file_at_rest_is_not_asked_for_again(
    site: GrowingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.take()
    asked: list[object] = []
    monkeypatch.setattr(site.ledger, "find_ingested", lambda *facts: asked.append(facts) or [])
    site.inspect()
    assert asked == []


def test_a_growth_waits_for_the_one_before_it(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.inspect()
    site.write(line(2))
    site.inspect(61)
    assert [w.file_id for w in site.ledger.pending(10, 10)] == [1]
    assert site.ledger.claim(2, ("validate",), "me", 60) is None  # type: ignore[arg-type]
    site.work()
    assert site.states == [State.LOADED] * 2


# --- what parts need of the parts before ---


def test_header_and_preamble_may_come_in_parts(start: Callable[..., GrowingSite]) -> None:
    profile = {
        "format": "csv",
        "time": "time",
        "skip_until": "^time,",
        "header": ["name", "unit"],
        "sensor": {"preamble": "station: (\\w+)"},
        "columns": {"t": {"type": "temperature"}},
    }
    site = start(profile, max_rejects="50%")
    for text in (
        "station: roof\n",
        "made by us\ntime,t\n",
        ",degC\n2026-01-01T00:00:01Z,1\n",
        "2026-01-01T00:00:02Z,2\n2026-01-01T00:00:03Z,oops\n",
        "2026-01-01T00:00:04Z,4\n",
    ):
        site.write(text)
        site.take()
    assert site.states == [State.LOADED] * 5
    assert site.account() == (4, 3, 1, 0)
    rows = site.rows
    assert {(r["sensor_id"], r["unit"]) for r in rows} == {("roof", "degC")}
    assert site.lines() == [5, 6, 8]
    assert [r["line_no"] for r in site.rejects()] == [7]


def test_a_file_without_a_header_grows(start: Callable[..., GrowingSite]) -> None:
    site = start({"names": ["time", "sensor", "type", "value", "unit"]})
    for n in range(3):
        site.write(line(n))
        site.take()
    assert site.account() == (3, 3, 0, 0)
    assert site.lines() == [1, 2, 3]


def test_a_byte_order_mark_stands_once(site: GrowingSite) -> None:
    site.write(b"\xef\xbb\xbf" + (HEAD + line(1)).encode())
    site.take()
    site.write(line(2) + "2026-01-01T00:00:09Z,s,temperature,oops,degC\n")
    site.take()
    [reject] = site.rejects()
    assert (reject["line_no"], reject["byte_offset"]) == (4, 3 + len(HEAD) + 2 * len(line(1)))


def test_lines_and_bytes_of_rejects_are_those_of_the_file(site: GrowingSite) -> None:
    site.write(HEAD + line(1) + line(2) + line(3) + "# no reading\n" * 2)
    site.take()
    bad = "2026-01-01T00:00:09Z,s,temperature,oops,degC\n"
    site.write(line(4) + line(5) + bad + line(6) + line(7) + "x\n")
    site.take()
    content = (site.drop / "a.csv").read_bytes()
    found = site.rejects()[-2:]
    assert [r["line_no"] for r in found] == [9, 12]
    for reject in found:
        raw = reject["raw"].encode()
        assert content[reject["byte_offset"] :].startswith(raw)


@pytest.mark.parametrize("form", ["jsonl", "influx"])
def test_other_formats_of_lines_grow(start: Callable[..., GrowingSite], form: str) -> None:
    profile = {"format": form} if form == "influx" else {**_LONG, "format": form}
    site = start(profile, max_rejects="50%")
    text = {
        "jsonl": '{{"time": "2026-01-01T00:00:0{0}Z", "sensor": "s", "type": "t", "value": {0}, '
        '"unit": ""}}\n',
        "influx": "t,room=a value={0} 176722560{0}000000000\n",
    }[form]
    for n in range(1, 4):
        site.write(text.format(n) + ("nonsense\n" if n == 2 else ""), "a.txt")
        site.take()
    assert site.account() == (4, 3, 1, 0)
    assert site.lines() == [1, 2, 4]
    assert [r["line_no"] for r in site.rejects()] == [3]


_LONG = {"time": "time", "sensor": "sensor", "type": "type", "value": "value", "unit": "unit"}


def test_an_encoding_of_one_byte_a_character_grows(start: Callable[..., GrowingSite]) -> None:
    site = start({"encoding": "latin-1"})
    site.write((HEAD + line(1, sensor="Küche")).encode("latin-1"))
    site.take()
    site.write(line(2, sensor="Küche").encode("latin-1"))
    site.take()
    assert {r["sensor_id"] for r in site.rows} == {"Küche"}
    assert site.account() == (2, 2, 0, 0)


def test_rules_that_look_back_see_the_parts_before(start: Callable[..., GrowingSite]) -> None:
    site = start({"rules": {"temperature": {"gap": "60s", "flatline": 3}}})
    site.write(HEAD + line(1))
    site.take()
    site.write(line(2))
    site.take()
    site.write(line(3) + line(100))
    site.take()
    silver = [r["quality"] for r in site.rows]
    assert silver == [0, 0, 2, 2 + 8]


# --- one file, whatever its parts ---


def test_repeats_are_told_over_all_parts(site: GrowingSite) -> None:
    site.write(HEAD + line(1, 1) + line(2, 2))
    site.take()
    site.write(line(2, 2) + line(2, 3) + line(3, 4))  # a repeat, and another value at one instant
    site.take()
    site.write(line(2, 3) + line(2, 5) + line(1, 1) + line(2, 5) + line(2, 2))
    site.take()
    assert site.account() == (10, 5, 0, 5)
    assert site.values == [1, 2, 3, 4, 5]
    [last] = site.layer(Layer.SILVER, 3)
    assert last["ordinal"].to_pylist() == [2]


def test_tolerance_is_over_all_parts(site: GrowingSite) -> None:
    bad = "2026-01-01T00:01:00Z,s,temperature,oops,degC\n"
    site.write(HEAD + "".join(line(n) for n in range(30)))
    site.take()
    site.write(bad)
    site.take()
    site.write(bad * 2)
    site.take()
    assert site.account() == (33, 30, 3, 0)
    site.write(bad)  # 4 of 34
    outcomes = {r.outcome for r in site.take()} - {Outcome.NOTHING_TO_DO}
    assert outcomes == {Outcome.DEAD_LETTERED, Outcome.QUARANTINED}
    site.write(line(31))
    site.take()
    assert site.account() == (34, 31, 3, 0)
    assert site.states[-2:] == [State.QUARANTINED, State.LOADED]


# --- which file it is ---


def test_a_truncated_file_begins_anew(site: GrowingSite) -> None:
    site.write(HEAD + line(1) + line(2))
    site.take()
    site.write(HEAD + line(7), how="wb")
    site.take()
    site.write(line(8))
    site.take()
    times = site.lines()
    assert len(site.rows) == 4
    assert sizes(site, 2) == [len(HEAD + line(7)), len(line(8))]
    assert times == [2, 2, 3, 3]


def test_a_file_that_was_rewritten_begins_anew(site: GrowingSite) -> None:
    site.write(HEAD + line(1, 1) + line(2, 2))
    site.take()
    site.write(HEAD + line(1, 1) + line(2, 9) + line(3, 3), how="wb")
    site.take()
    assert [s.byte_offset for s in site.ledger.segments(2)] == [0]
    assert 3 in site.values


def test_a_change_in_the_middle_of_a_large_file_is_found_when_it_is_idle(site: GrowingSite) -> None:
    text = HEAD + "".join(line(n, 1) for n in range(5000))
    assert len(text) > 3 * EDGE
    site.write(text)
    site.take()
    site.take()
    at = text.index(line(2500, 1))
    with (site.drop / "a.csv").open("r+b") as stream:
        stream.seek(at)
        stream.write(line(2500, 9).encode())
    site.take()
    assert len(site.ids) == 1
    site.inspected.clear()
    site.take(3600)
    assert len(site.ids) == 2


def test_an_idle_file_is_compared_once(site: GrowingSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.take(3600)
    [ingested] = site.ledger.find_ingested("plant", [b"a.csv"], [])
    assert ingested.checked == ingested.fingerprint
    read: list[object] = []
    monkeypatch.setattr(
        "sensorflow.flow.intake.look.holds", lambda *given: read.append(given) or True
    )
    site.restart()
    site.take(3600)
    assert read == []


@pytest.mark.parametrize("name", ["a.1.csv", "a.csv.1"], ids=["taken too", "not taken"])
def test_a_rotated_file_is_one_file_and_its_rest_is_taken(site: GrowingSite, name: str) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.write(line(2))  # in the last moment
    os.rename(site.drop / "a.csv", site.drop / name)
    site.write(HEAD + line(3))
    site.inspect()
    site.work()
    for _ in range(3):
        site.take()
    assert site.values == [1.5] * 3
    assert sum(view.counts.duplicate for view in site.ledger.files()) == 0
    assert sizes(site, 1) == [len(HEAD + line(1)), len(line(2))]
    names = {a.name for n in site.ids for a in site.ledger.arrivals(n)}
    assert names == {"a.csv", name}


def test_a_rotated_file_is_taken_at_once_also_when_nobody_loads(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.inspect()
    os.rename(site.drop / "a.csv", site.drop / "a.csv.1")
    site.write(HEAD + line(3))
    assert site.inspect()
    assert len(site.ids) == 2


def test_a_look_before_a_growth_is_loaded_puts_off_no_look_after_it(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    assert site.inspect()
    assert not site.inspect(1)  # the worker has it still
    site.work()
    site.write(line(2))
    assert site.inspect(9.5)


def test_while_nobody_loads_a_file_grows_once_a_minute(site: GrowingSite) -> None:
    grew = []
    for n in range(27):
        site.write(line(n) if n else HEAD + line(n))
        grew += [n * 5] if site.inspect(5) else []
    assert grew == [0, 60, 120]


def test_what_is_written_between_two_rotations_is_taken_however_slow_the_workers(
    site: GrowingSite,
) -> None:
    """Rotated to names that the source does not take, each 11 seconds, and looked at as the daemon does."""
    for n in range(5):
        site.write(HEAD + line(10 * n))
        for quarter in range(4):
            site.inspect(2.75)
            if quarter == 1:
                site.write(line(10 * n + 1))
        site.work()
        site.write(line(10 * n + 2))
        os.rename(site.drop / "a.csv", site.drop / f"a.csv.{n}")
    site.write(HEAD)
    site.take()
    assert instants(site) == [10 * n + m for n in range(5) for m in range(3)]


def test_a_file_rotated_sooner_than_it_may_grow_is_taken(site: GrowingSite) -> None:
    for n in range(5):
        site.write(HEAD + line(2 * n))
        site.inspect(1)
        site.write(line(2 * n + 1))
        os.rename(site.drop / "a.csv", site.drop / f"a.csv.{n}")
    site.take()
    assert instants(site) == list(range(10))


@pytest.mark.parametrize("restart", [False, True])
def test_the_last_lines_of_a_file_that_is_renamed_and_not_begun_anew_are_taken(
    site: GrowingSite, restart: bool
) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.write(line(2))
    os.rename(site.drop / "a.csv", site.drop / "a.csv.1")
    if restart:
        site.restart()
    site.take(1)
    assert instants(site) == [1, 2]
    site.write(line(3) + line(4)[:9], "a.csv.1")  # by a logger that has it open still
    site.take(1)
    site.write(line(4)[9:], "a.csv.1")
    site.write(HEAD + line(5))
    for _ in range(2):
        site.take(1)
    assert instants(site) == [1, 2, 3, 4, 5]
    assert sizes(site, 1) == [len(HEAD + line(1)), len(line(2)), len(line(3)), len(line(4))]


def test_a_file_that_was_rotated_before_it_was_seen_is_told_of(site: GrowingSite) -> None:
    site.write(HEAD + line(0))
    site.write("note", "a.csv.0")
    os.utime(site.drop / "a.csv.0", (0, 0))
    site.take()
    for n in (1, 2, 3):
        site.write(line(n) if n == 1 else HEAD + line(n))
        os.rename(site.drop / "a.csv", site.drop / ("a.3.csv" if n == 3 else f"a.csv.{n}"))
    site.write(HEAD + line(4))
    with capture_logs() as logs:
        for _ in range(3):
            site.take()
    missed = [(one["file"], one["size"]) for one in logs if one["event"] == "file.missed"]
    assert missed == [("a.csv.2", len(HEAD + line(2)))]
    assert sorted(instants(site)) == [0, 1, 3, 4]


def test_a_file_rotated_on_and_on_is_known_under_each_name(site: GrowingSite) -> None:
    for n in range(4):
        for old in range(n, 0, -1):
            before = "a.csv" if old == 1 else f"a.{old - 1}.csv"
            os.rename(site.drop / before, site.drop / f"a.{old}.csv")
        site.write(HEAD + line(10 * n) + line(10 * n + 1))
        site.take()
        site.write(line(10 * n + 2))
        site.take()
    site.restart()
    site.take()
    assert len(site.rows) == 12
    assert len(site.ids) == 8
    assert sum(view.counts.duplicate for view in site.ledger.files()) == 0


def test_what_is_renamed_over_a_name_with_the_same_beginning_goes_on(site: GrowingSite) -> None:
    """As rsync and editors write."""
    text = HEAD + line(1)
    for n in range(2, 5):
        site.write(text, "new", how="wb")
        os.replace(site.drop / "new", site.drop / "a.csv")
        site.take()
        text += line(n)
    assert sizes(site) == [len(HEAD + line(1)), len(line(2)), len(line(3))]
    assert site.account() == (3, 3, 0, 0)


def test_another_file_under_the_name_begins_anew(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.take()
    site.write(HEAD + line(2) + line(3), "new", how="wb")
    os.replace(site.drop / "new", site.drop / "a.csv")
    site.take()
    assert len(site.rows) == 3
    assert sizes(site, 2) == [len(HEAD + line(2) + line(3))]


def test_what_cannot_be_cut_is_left_alone(site: GrowingSite) -> None:
    site.write(gzip.compress((HEAD + line(1)).encode()), "a.csv.gz")
    site.write((HEAD + line(1)).encode("utf-16"), "wide.csv")
    site.write(HEAD + line(1))
    site.take()
    assert [view.name for view in site.ledger.files()] == ["a.csv"]


@pytest.mark.parametrize("name", ["a.1.csv", "z.csv", "a.csv.1"])
def test_a_file_copied_and_truncated_is_one_file_and_its_rest_is_taken(
    site: GrowingSite, name: str
) -> None:
    """logrotate's copytruncate, to a name that the source takes, before and after its own, and not."""
    site.write(HEAD + line(1))
    site.take()
    site.write(line(2))  # in the last moment
    shutil.copy(site.drop / "a.csv", site.drop / name)
    os.truncate(site.drop / "a.csv", 0)
    site.write(HEAD + line(3))
    for _ in range(3):
        site.take()
    site.restart()
    site.take()
    assert len(site.rows) == 3
    assert sum(view.counts.read for view in site.ledger.files()) == 3
    assert sizes(site, 1) == [len(HEAD + line(1)), len(line(2))]


def test_a_copy_of_what_was_taken_is_not_taken_again(site: GrowingSite) -> None:
    site.write(HEAD + line(1) + line(2))
    site.take()
    for name, cut in (("b.csv", None), ("c.csv", len(HEAD + line(1)))):
        site.write((site.drop / "a.csv").read_bytes()[:cut], name)
        site.take()
    assert len(site.ids) == 1
    assert {a.name for a in site.ledger.arrivals(1)} == {"a.csv", "b.csv", "c.csv"}
    site.write(line(3), "c.csv")  # another file, from here on
    site.take()
    assert sizes(site, 2) == [len(HEAD + line(1) + line(3))]


def test_where_names_matter_a_copy_is_another_file(start: Callable[..., GrowingSite]) -> None:
    site = start({"sensor": {"file_name": "^(\\w+)"}})
    for name in ("a.csv", "b.csv"):
        site.write(HEAD + line(1), name)
        site.take()
    assert {r["sensor_id"] for r in site.rows} == {"a", "b"}


def test_equal_files_that_go_on_in_the_same_way_are_two(site: GrowingSite) -> None:
    for name in ("a.csv", "b.csv"):
        site.write(HEAD + line(1), name)
    site.take()
    for name in ("a.csv", "b.csv"):
        site.write(line(2), name)
    site.take()
    assert len(site.rows) == 4


# --- files that are in no folder ---


def test_files_of_any_feed_grow_and_are_rotated(site: GrowingSite) -> None:
    feed = GrowingMemoryFeed("plant", {b"a.csv": (HEAD + line(1)).encode()})
    feed.delay = 10
    site.take_from(feed)
    site.take()
    feed.files[b"a.csv"] += (line(2, 2) + line(3, 3)[:-5]).encode()
    site.take()
    feed.files[b"a.csv"] += line(3, 3)[-5:].encode()
    feed.rename(b"a.csv", b"a.old")
    feed.files[b"a.csv"] = (HEAD + line(4, 4)).encode()
    site.take()
    assert site.values == [1.5, 2, 3, 4]
    assert sizes(site, 1) == [len(HEAD + line(1)), len(line(2, 2)), len(line(3, 3))]
    site.take_from(feed)  # a new daemon
    assert not site.inspect()


# --- what cannot grow ---


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"format": "parquet"}, "cannot be read in parts"),
        ({"encoding": "utf-16"}, "do not end with one byte"),
        ({"encoding": "utf-7"}, "do not end with one byte"),
        ({"encoding": "cp037"}, "do not end with one byte"),
        ({"skip_until": "^time", "header_again": True}, "header_again"),
        ({"fill_down": ["sensor"]}, "fill_down"),
        ({"time": {"column": "time", "ambiguous": "order"}}, "order"),
    ],
)
def test_profiles_that_cannot_be_read_in_parts_are_refused(
    given: dict[str, object], reason: str
) -> None:
    profile = Profile.model_validate({"format": "csv", **_LONG, **given})
    assert reason in (why_not_growable(profile) or "")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "shift_jis", "gb18030"])
def test_encodings_in_which_a_line_ends_with_one_byte_are_fit(encoding: str) -> None:
    profile = Profile.model_validate({"format": "csv", **_LONG, "encoding": encoding})
    assert why_not_growable(profile) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('after = "archive"', 'growing = true needs after = "keep"'),
        ('after = "keep"\non_change = "supersede"', 'growing = true needs on_change = "merge"'),
        ('after = "keep"\non_change = "merge"\nprofile = "sheet"', "cannot be read in parts"),
    ],
)
def test_settings_that_do_not_go_with_growing_say_so(
    tmp_path: Path, source: str, reason: str
) -> None:
    profile = "" if "profile" in source else 'profile = "long"\n'
    (tmp_path / "sensorflow.toml").write_text(
        f'[sources.plant]\npath = "drop"\ngrowing = true\n{profile}{source}\n'
        '[profiles.sheet]\nformat = "xlsx"\ntime = "t"\nsensor = "s"\ncolumns = ["x"]\n'
    )
    with pytest.raises(UsageError, match=reason):
        settings_.load(tmp_path / "sensorflow.toml", {})


# --- anything may happen ---

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.just("half"), st.integers(1, 30)),
        st.tuples(st.just("look"), st.integers(1, 100)),
        st.tuples(st.just("work"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("rotate"), st.just(0)),
        st.tuples(st.just("truncate"), st.just(0)),
        st.tuples(st.just("restate"), st.integers(1, 5)),
    ),
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_every_complete_line_is_loaded_once_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory,
    clocked: FreshDatabaseWithClock,
    steps: list[tuple[str, int]],
) -> None:
    """A file that is begun anew may state the last readings again, with other values. That comes after a
    look, as only what was seen can be known."""
    clocked.empty()
    with closing(GrowingSite(tmp_path_factory.mktemp("site"), clocked)) as site:
        _take_steps(site, steps)


def _take_steps(site: GrowingSite, steps: list[tuple[str, int]]) -> None:
    written, half, rotations = 0, "", 0
    expected: dict[int, float] = {}
    site.write(HEAD)
    for what, count in steps:
        if what == "append":
            more = "".join(line(written + n, written + n) for n in range(count))
            expected.update((n, float(n)) for n in range(written, written + count))
            written += count
            site.write(more[len(half) :])
            half = ""
        elif what == "half":
            half = half or line(written, written)[:count]
            site.write(half if not _ends_with(site, half) else "")
        elif what == "look":
            site.inspect(count)
        elif what == "work":
            site.work()
        elif what == "restart":
            site.restart()
        else:
            site.work()
            site.inspect(100)
            half = ""
            if what == "rotate":
                rotations += 1
                os.rename(site.drop / "a.csv", site.drop / f"a.{rotations}.csv")
            site.write(HEAD, how="wb")
            if what == "restate":
                again = {n: v + 0.125 for n, v in expected.items() if n >= written - count}
                site.write("".join(line(n, v) for n, v in again.items()))
                expected |= again
    for _ in range(3):
        site.work()
        site.inspect(100)
    site.work()
    assert site.values == sorted(expected.values())
    assert all(view.counts.balanced for view in site.ledger.files(limit=1000))
    assert sum(view.counts.duplicate for view in site.ledger.files(limit=1000)) == 0


def _ends_with(site: GrowingSite, half: str) -> bool:
    return (site.drop / "a.csv").read_text().endswith("\n" + half)


class Guarded(io.BufferedReader):
    """On a share that asks at each read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")


class NetworkShare(DropFolder):
    @contextmanager
    def open(self, key: bytes) -> Iterator[BinaryIO]:
        with super().open(key) as stream, Guarded(io.FileIO(stream.fileno(), closefd=False)) as it:
            yield it if key == b"a.csv" else stream


def test_a_file_that_may_not_be_read_any_more_keeps_no_other_waiting(site: GrowingSite) -> None:
    site.write(HEAD + line(1))
    site.write(HEAD + line(2), "b.csv")
    mine = site.feed.folder
    site.feed.folder = NetworkShare(mine.name, mine.root, mine.source, mine.root)
    with capture_logs() as logs:
        site.take()
        site.take()
    errors = [(one["event"], one["file"]) for one in logs if one["log_level"] == "error"]
    assert errors == [("file.unreadable", "a.csv")]
    assert len(site.ids) == 1
