"""`Ledger.unpack`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from adapters import ON_POSTGRES
from samples import add, arrival, batch, claim, load, state

from sensorflow.core.arrival import Arrival, Lane
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, Fenced, Permanent, Transient
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import Kind, OnChange, Registration
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Unpack

pytestmark = ON_POSTGRES


def how(keep: Callable[[], None] = lambda: None, names: bool = False) -> Unpack:
    report = StageReport(Stage.LOAD, 0.1, 0, "unpacked into 2 files")
    return Unpack(OnChange.MERGE, names, "p", "h", "0", report, keep)


def member(claimed: Claim, name: bytes, content: int, place: int = 0) -> Arrival:
    return arrival(claimed.key + b"!/" + name, content, f"member:{claimed.file_id}:{place}")


def unpack(ledger: Ledger, claimed: Claim, *members: tuple[bytes, int]) -> list[Registration]:
    found = [member(claimed, name, content, n) for n, (name, content) in enumerate(members)]
    return ledger.unpack(claimed, found, how())


def archive(ledger: Ledger, name: bytes = b"x.zip", content: int = 100) -> Claim:
    return claim(ledger, add(ledger, name, content))


def test_members_are_registered_and_the_archive_is_closed(ledger: Ledger) -> None:
    claimed = archive(ledger)
    done = unpack(ledger, claimed, (b"a.csv", 1), (b"b.csv", 2))
    assert [r.kind for r in done] == [Kind.NEW, Kind.NEW]
    assert state(ledger, claimed.file_id) is State.LOADED
    assert [state(ledger, r.file_id) for r in done] == [State.PENDING] * 2
    view = ledger.file(claimed.file_id)
    assert view is not None
    assert (view.members, view.counts) == (2, Counts())
    assert [(m.name, m.file_id, m.besides) for m in ledger.members(claimed.file_id)] == [
        ("x.zip!/a.csv", done[0].file_id, frozenset()),
        ("x.zip!/b.csv", done[1].file_id, frozenset()),
    ]
    assert [a.archive for a in ledger.arrivals(done[0].file_id)] == [claimed.file_id]
    assert [a.archive for a in ledger.arrivals(claimed.file_id)] == [None]
    assert ledger.history(claimed.file_id)[-1].what == "unpacked"


def test_an_archive_that_is_unpacked_again_adds_nothing(ledger: Ledger) -> None:
    claimed = archive(ledger)
    first = unpack(ledger, claimed, (b"a.csv", 1), (b"b.csv", 1))
    assert ledger.replay(claimed.file_id)
    again = claim(ledger, claimed.file_id)
    assert again.unpacked
    assert not claimed.unpacked
    done = unpack(ledger, again, (b"a.csv", 1), (b"b.csv", 1))
    assert [r.kind for r in done] == [Kind.SEEN] * 2
    assert [r.file_id for r in done] == [r.file_id for r in first]
    assert len(ledger.members(claimed.file_id)) == 2


def test_whoever_has_lost_the_claim_registers_nothing(ledger: Ledger) -> None:
    claimed = archive(ledger)
    with pytest.raises(Fenced):
        unpack(ledger, replace(claimed, token=claimed.token + 1), (b"a.csv", 1))
    assert [view.name for view in ledger.files()] == ["x.zip"]
    assert ledger.members(claimed.file_id) == []


def test_what_cannot_be_kept_registers_nothing(ledger: Ledger) -> None:
    claimed = archive(ledger)

    def full() -> None:
        raise Transient(Code.STORAGE, "full")

    with pytest.raises(Transient):
        ledger.unpack(claimed, [member(claimed, b"a.csv", 1)], how(full))
    assert len(ledger.files()) == 1
    assert state(ledger, claimed.file_id) is State.RUNNING


def test_members_go_the_way_that_their_archive_goes(ledger: Ledger) -> None:
    late = replace(arrival(b"x.zip", 100), lane=Lane.BACKFILL)
    claimed = claim(ledger, ledger.register(late, OnChange.MERGE, False).file_id)
    unpack(ledger, claimed, (b"a.csv", 1))
    assert ledger.unfinished(Lane.BACKFILL) == 1


def test_the_same_bytes_in_two_archives_are_one_file_that_came_in_both(ledger: Ledger) -> None:
    one, two = archive(ledger), archive(ledger, b"y.zip", 101)
    [first] = unpack(ledger, one, (b"a.csv", 1))
    [second, other] = unpack(ledger, two, (b"a.csv", 1), (b"b.csv", 2))
    assert (second.kind, second.file_id) == (Kind.ALIAS, first.file_id)
    assert [m.besides for m in ledger.members(one.file_id)] == [frozenset({two.file_id})]
    assert ledger.undo(one.file_id, "").rows == 0
    assert [m.besides for m in ledger.members(two.file_id)] == [frozenset(), frozenset()]
    ledger.register(arrival(b"c.csv", 2), OnChange.MERGE, False)
    assert [m.besides for m in ledger.members(two.file_id)] == [frozenset(), frozenset({0})]
    assert [a.archive for a in ledger.arrivals(other.file_id)] == [two.file_id, None]


def test_one_name_in_two_archives_is_two_files(ledger: Ledger) -> None:
    [first] = unpack(ledger, archive(ledger), (b"a.csv", 1))
    [second] = unpack(ledger, archive(ledger, b"y.zip", 101), (b"a.csv", 2))
    assert first.file_id != second.file_id
    assert (first.version, second.version) == (1, 1)


def test_a_newer_archive_brings_newer_versions_of_its_members(ledger: Ledger) -> None:
    old, new = archive(ledger), archive(ledger, content=101)
    [first, same] = unpack(ledger, old, (b"a.csv", 1), (b"b.csv", 2))
    done = unpack(ledger, new, (b"a.csv", 3), (b"b.csv", 2))
    assert [(r.kind, r.version) for r in done] == [(Kind.NEW, 2), (Kind.ALIAS, 1)]
    assert done[1].file_id == same.file_id
    assert done[0].file_id != first.file_id


def test_an_older_version_of_an_archive_goes_first(ledger: Ledger) -> None:
    """Else its members, which are older, would be taken for newer ones."""
    old, new = archive(ledger), archive(ledger, content=101)
    with pytest.raises(Transient, match="version 1"):
        unpack(ledger, new, (b"a.csv", 3))
    unpack(ledger, old, (b"a.csv", 1))
    [done] = unpack(ledger, new, (b"a.csv", 3))
    assert done.version == 2


def test_an_older_version_that_comes_too_late_is_refused(ledger: Ledger) -> None:
    old, new = archive(ledger), archive(ledger, content=101)
    ledger.dead_letter(old, Permanent(Code.UNREADABLE, "bad"), Counts())
    put_aside = ledger.claim(old.file_id, (Stage.QUARANTINE,), "me", 60)
    assert put_aside is not None
    unpack(ledger, new, (b"a.csv", 3), (b"b.csv", 2))
    ledger.mark_quarantined(put_aside, "there", StageReport(Stage.QUARANTINE, 0.1, 0))
    ledger.replay(old.file_id)
    again = claim(ledger, old.file_id)
    with pytest.raises(Permanent, match=r"version 2 .* x\.zip!/a\.csv") as caught:
        unpack(ledger, again, (b"a.csv", 1), (b"c.csv", 4))
    assert caught.value.code is Code.ARCHIVE
    assert len(ledger.files()) == 4
    done = unpack(ledger, again, (b"b.csv", 2), (b"c.csv", 4))
    assert [r.kind for r in done] == [Kind.ALIAS, Kind.NEW]


def test_an_archive_whose_own_readings_are_there_is_refused(ledger: Ledger) -> None:
    claimed = archive(ledger)
    load(ledger, claimed, batch(3), "plant/x.zip")
    ledger.replay(claimed.file_id)
    again = claim(ledger, claimed.file_id)
    with pytest.raises(Permanent, match="3 of its readings"):
        unpack(ledger, again, (b"a.csv", 1))
    ledger.dead_letter(again, Permanent(Code.ARCHIVE, "no"), Counts())
    assert ledger.undo(claimed.file_id, "").rows == 3
    ledger.replay(claimed.file_id)
    assert len(unpack(ledger, claim(ledger, claimed.file_id), (b"a.csv", 1))) == 1


def test_members_are_read_by_the_profile_that_the_replay_of_their_archive_asks_for(
    ledger: Ledger,
) -> None:
    claimed = archive(ledger)
    unpack(ledger, claimed, (b"a.csv", 1))
    ledger.replay(claimed.file_id, "other")
    again = claim(ledger, claimed.file_id)
    [known, new] = unpack(ledger, again, (b"a.csv", 1), (b"b.csv", 2))
    assert claim(ledger, known.file_id).profile is None
    assert claim(ledger, new.file_id).profile == "other"


def test_where_names_matter_the_same_bytes_in_two_archives_are_two_files(ledger: Ledger) -> None:
    one, two = archive(ledger), archive(ledger, b"y.zip", 101)
    [first] = ledger.unpack(one, [member(one, b"a.csv", 1)], how(names=True))
    [second] = ledger.unpack(two, [member(two, b"a.csv", 1)], how(names=True))
    assert first.file_id != second.file_id
