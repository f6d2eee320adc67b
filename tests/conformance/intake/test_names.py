"""Names that differ only in how their letters are encoded, on PostgreSQL and in memory alike."""

from __future__ import annotations

import pytest
from adapters import ON_POSTGRES
from samples import add, arrival, batch, claim, load, state

from sensorflow.core.arrival import printable
from sensorflow.core.states import State
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.ledger import Ledger

NFC, NFD = "Kühl.csv".encode(), "Ku\u0308hl.csv".encode()
COMPOSED, DECOMPOSED = "\u1ead.csv".encode(), "a\u0323\u0302.csv".encode()
BROKEN = b"u\xcc\x88\xff.csv"


def keys_of(ledger: Ledger) -> dict[int, bytes]:
    return {w.file_id: w.key for w in ledger.pending(100, 100)}


@ON_POSTGRES
@pytest.mark.parametrize(("first", "second"), [(NFC, NFD), (NFD, NFC), (DECOMPOSED, COMPOSED)])
def test_two_spellings_of_a_name_are_versions_and_keep_their_bytes(
    ledger: Ledger, first: bytes, second: bytes
) -> None:
    old, new = add(ledger, first, 1), add(ledger, second, 2)
    assert keys_of(ledger) == {old: first, new: second}
    newer = claim(ledger, new)
    assert (newer.version, newer.key, newer.first_key) == (2, second, first)
    assert claim(ledger, old).first_key == first
    load(ledger, newer, batch(2))
    assert state(ledger, old) is State.SUPERSEDED
    names = [printable(first), printable(second)]
    assert sorted(v.name for v in ledger.named(names[0])) == sorted(names)
    assert len(ledger.named(names[1], "plant")) == 2
    assert ledger.named(names[0], "roof") == []


@pytest.mark.parametrize("name_matters", [True, False])
def test_the_same_bytes_in_another_spelling_are_the_same_file(
    ledger: Ledger, name_matters: bool
) -> None:
    first = ledger.register(arrival(NFD), OnChange.SUPERSEDE, name_matters)
    again = ledger.register(arrival(NFC), OnChange.SUPERSEDE, name_matters)
    assert (again.kind, again.file_id) == (Kind.ALIAS, first.file_id)
    assert ledger.other_spelling("plant", NFC, arrival().landed.sha256) is None


@ON_POSTGRES
def test_a_spelling_is_no_name_that_takes_over_when_its_file_is_superseded(ledger: Ledger) -> None:
    old = add(ledger, NFD, 1)
    add(ledger, NFC, 1)
    load(ledger, claim(ledger, old), batch(3))
    load(ledger, claim(ledger, add(ledger, NFC, 2)), batch(2))
    assert sorted(v.state for v in ledger.files()) == [State.LOADED, State.SUPERSEDED]


@ON_POSTGRES
def test_another_name_takes_over_once_however_often_it_was_spelt(ledger: Ledger) -> None:
    old = add(ledger, b"a.csv", 1)
    for key in (NFD, NFC):
        add(ledger, key, 1)
    load(ledger, claim(ledger, old), batch(3))
    load(ledger, claim(ledger, add(ledger, b"a.csv", 2)), batch(2))
    (promoted,) = [v for v in ledger.files() if v.state is State.PENDING]
    assert (promoted.name, promoted.version) == (printable(NFD), 1)
    assert [a.name for a in ledger.arrivals(promoted.file_id)] == [printable(NFD), printable(NFC)]
    newer = claim(ledger, add(ledger, NFC, 3))
    assert (newer.version, newer.first_key) == (2, NFD)


@ON_POSTGRES
def test_a_name_that_came_again_with_other_bytes_does_not_take_over(ledger: Ledger) -> None:
    old = add(ledger, b"a.csv", 1)
    add(ledger, NFD, 1)
    add(ledger, NFC, 4)
    load(ledger, claim(ledger, old), batch(3))
    load(ledger, claim(ledger, add(ledger, b"a.csv", 2)), batch(2))
    assert [v.name for v in ledger.files() if v.state is State.PENDING] == [printable(NFC)]


def test_spellings_in_one_group(ledger: Ledger) -> None:
    group = [arrival(NFC, 1), arrival(NFD, 2), arrival(b"b.csv", 3), arrival(NFD, 1, "back")]
    done = ledger.register_many(group, OnChange.SUPERSEDE, False)
    assert [r.version for r in done] == [1, 2, 1, 3]


def test_how_the_newest_version_was_spelt(ledger: Ledger) -> None:
    bytes_of_2 = arrival(content=2).landed.sha256
    assert ledger.other_spelling("plant", NFC, bytes_of_2) is None
    add(ledger, NFD, 1)
    assert ledger.other_spelling("plant", NFC, bytes_of_2) == NFD
    assert ledger.other_spelling("plant", NFD, bytes_of_2) is None
    assert ledger.other_spelling("roof", NFC, bytes_of_2) is None
    add(ledger, NFC, 3)
    assert ledger.other_spelling("plant", NFC, bytes_of_2) is None
    assert ledger.other_spelling("plant", NFD, bytes_of_2) == NFC


@ON_POSTGRES
def test_a_name_that_is_no_utf_8_is_its_own(ledger: Ledger) -> None:
    add(ledger, BROKEN, 1)
    other = ledger.register(arrival(b"\xc3\xbc\xff.csv", 2), OnChange.SUPERSEDE, False)
    assert other.version == 1
    assert [v.name for v in ledger.named(printable(BROKEN))] == [printable(BROKEN)]


def test_under_reject_another_spelling_is_refused_too(ledger: Ledger) -> None:
    ledger.register(arrival(NFD), OnChange.REJECT, False)
    second = ledger.register(arrival(NFC, 2), OnChange.REJECT, False)
    assert second.version == 2
    view = ledger.file(second.file_id)
    assert view is not None
    assert view.stage == "quarantine"
