"""What people ask a ledger of its files: which fit, how they add up, how far behind a source is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from adapters import ON_POSTGRES
from samples import add, batch, claim, load

from sensorflow.core.listing import FileFilter
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, Permanent
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.ledger import Ledger

pytestmark = ON_POSTGRES

LATER = datetime.now(UTC) + timedelta(days=2)
EARLIER = datetime(2025, 1, 1, tzinfo=UTC)


def quarantine(ledger: Ledger, key: bytes, content: int) -> int:
    file_id = add(ledger, key, content)
    error = Permanent(Code.TOO_MANY_REJECTS, "2 of 3")
    ledger.dead_letter(claim(ledger, file_id), error, Counts(read=3, rejected=2))
    claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert claimed is not None
    ledger.mark_quarantined(claimed, "plant/q", StageReport(Stage.QUARANTINE, 0.1, 0))
    return file_id


@pytest.fixture
def ids(ledger: Ledger) -> list[int]:
    """One loaded, one quarantined, one undone, one waiting."""
    first, gone = add(ledger, b"sub/a.csv", 1), add(ledger, b"b[1].csv", 2)
    load(ledger, claim(ledger, first), batch(5))
    load(ledger, claim(ledger, gone), batch(4, start=100), "plant/b[1].csv")
    ledger.undo(gone, "")
    bad = quarantine(ledger, "\u00fc.csv".encode(), 3)
    return [first, gone, bad, add(ledger, b"c.csv.gz", 4)]


def test_a_filter_and_how_many_fit(ledger: Ledger, ids: list[int]) -> None:
    first, gone, bad, waiting = ids
    add(ledger, b"alias.csv", 1)  # the same bytes as the first
    for expected, found in (
        (FileFilter(), [waiting, bad, gone, first]),
        (FileFilter(State.QUARANTINED), [bad]),
        (FileFilter(source="other"), []),
        (FileFilter(name="a.csv"), [first]),
        (FileFilter(name="sub/*"), [first]),
        (FileFilter(name="?.csv"), [bad, first]),
        (FileFilter(name="[!a].csv"), [bad]),
        (FileFilter(name="u\u0308.csv"), [bad]),
        (FileFilter(name="b[[]1].csv"), [gone]),
        (FileFilter(name="alias*"), [first]),
        (FileFilter(code=str(Code.TOO_MANY_REJECTS)), [bad]),
        (FileFilter(code="F2"), []),
        (FileFilter(rejected=True), [bad]),
        (FileFilter(landed_since=EARLIER), [waiting, bad, gone, first]),
        (FileFilter(landed_since=LATER), []),
        (FileFilter(finished_since=EARLIER), [bad, gone, first]),
        (FileFilter(finished_since=LATER), []),
    ):
        listed = ledger.matching(expected, 10)
        assert [view.file_id for view in listed.files] == found, expected
        assert listed.total == len(found)
    cut = ledger.matching(FileFilter(), 2)
    assert ([view.file_id for view in cut.files], cut.total) == ([waiting, bad], 4)


def test_accounts_and_sums_add_up_in_every_state(ledger: Ledger, ids: list[int]) -> None:
    views = ledger.files()
    assert all(view.account.balanced for view in views)
    accounts = {view.file_id: view.account for view in views}
    assert (accounts[ids[1]].loaded, accounts[ids[1]].not_loaded) == (0, 4)
    assert (accounts[ids[2]].rejected, accounts[ids[2]].not_loaded) == (2, 1)
    sums = ledger.totals()["plant"]
    assert (sums.files, sums.rows_read, sums.rows_loaded) == (4, 12, 5)
    assert (sums.rows_rejected, sums.rows_not_loaded) == (2, 5)
    assert (sums.rows_quarantined, sums.rows_undone, sums.rows_waiting) == (1, 4, 0)


def test_the_activity_of_a_source(ledger: Ledger, ids: list[int]) -> None:
    found = ledger.activity()["plant"]
    assert (found.waiting, found.quarantined, found.rows_per_second) == (1, 1, 5 / 60)
    assert found.oldest is not None
    assert 0 <= found.oldest < 60
    assert found.last_reading == datetime.fromtimestamp(1_700_000_004, UTC)
    assert found.last_reading_age is not None
    assert found.last_reading_age > 0
    ledger.replay(ids[2])
    assert ledger.activity()["plant"].waiting == 2
