"""What `ports.claims.Claims.renew` records of a file that is being read, until its claim ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from adapters import ON_POSTGRES
from samples import DONE, add, batch, claim, load

from sensorflow.core.states import Stage
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.ports.claims import Claim, ReadSoFar
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.ledger import Ledger

End = Callable[[Ledger, Claim], object]
BAD, AWAY = Permanent(Code.UNREADABLE, "no"), Transient(Code.STORAGE, "away")
VALIDATED = StageReport(Stage.VALIDATE, 0.1, 3)


def progress(ledger: Ledger, file_id: int) -> tuple[int | None, int | None]:
    view = ledger.file(file_id)
    assert view is not None
    return view.progress_bytes, view.progress_rows


def test_the_newest_progress_is_shown_and_a_renewal_without_one_keeps_it(ledger: Ledger) -> None:
    claimed = claim(ledger, add(ledger))
    assert progress(ledger, claimed.file_id) == (None, None)
    ledger.renew(claimed, 60, ReadSoFar(20, 5))
    ledger.renew(claimed, 60, ReadSoFar(50, 12))
    ledger.renew(claimed, 60)
    assert progress(ledger, claimed.file_id) == (50, 12)
    ledger.renew(claimed, 60, ReadSoFar(None, 13))
    assert progress(ledger, claimed.file_id) == (50, 13)
    view = ledger.file(claimed.file_id)
    assert view is not None
    assert view.percent == 50


def mark_quarantined(ledger: Ledger, claimed: Claim) -> None:
    ledger.dead_letter(claimed, BAD, Counts())
    again = ledger.claim(claimed.file_id, (Stage.QUARANTINE,), "me", 60)
    assert again is not None
    ledger.renew(again, 60, ReadSoFar(1, 1))
    ledger.mark_quarantined(again, "there", DONE)


ENDS: dict[str, End] = {
    "loaded": lambda ledger, claimed: load(ledger, claimed, batch()),
    "advanced": lambda ledger, claimed: ledger.advance(
        claimed, Stage.TRANSFORM, Counts(read=3), VALIDATED, published=True
    ),
    "nacked": lambda ledger, claimed: ledger.nack(claimed, AWAY, 0, counts_as_attempt=False),
    "dead-lettered": lambda ledger, claimed: ledger.dead_letter(claimed, BAD, Counts()),
    "quarantined": mark_quarantined,
}


@pytest.mark.parametrize("end", ENDS)
def test_progress_ends_with_its_claim(ledger: Ledger, end: str) -> None:
    claimed = claim(ledger, add(ledger))
    ledger.renew(claimed, 60, ReadSoFar(20, 5))
    ENDS[end](ledger, claimed)
    assert progress(ledger, claimed.file_id) == (None, None)


def test_progress_of_a_worker_that_is_gone_is_not_that_of_the_next(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.renew(claim(ledger, file_id), -1, ReadSoFar(20, 5))
    claimed = claim(ledger, file_id)
    assert progress(ledger, file_id) == (None, None)
    ledger.renew(claimed, -1, ReadSoFar(10, 2))
    ledger.reconcile(60, 0)
    assert progress(ledger, file_id) == (None, None)


@ON_POSTGRES
def test_a_large_file_has_a_rate_and_a_time_left(ledger: Ledger) -> None:
    small, large = add(ledger, b"small.csv", 1), add(ledger, b"large.csv", 2)
    claim(ledger, small)
    claimed = claim(ledger, large)
    ledger.renew(claimed, 60, ReadSoFar(25, 1_000))
    [found] = ledger.large_files(60)
    assert (found.file_id, found.name, found.worker) == (large, "large.csv", "me")
    assert (found.size, found.percent, found.rows) == (100, 25, 1_000)
    assert 0 <= found.seconds < 60 > found.age >= 0
    assert found.rows_per_second > 16
    assert found.seconds_left is not None
    assert found.seconds_left <= 3 * found.seconds
