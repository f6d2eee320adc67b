"""What `ports.loading` says of a load, and of several together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pytest
from samples import add, batch, claim, load, state, waiting

from sensorflow.core.keys import keys
from sensorflow.core.months import MonthLimits
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Keyed, Load


def test_a_load_counts_what_was_there_already_as_duplicates(ledger: Ledger) -> None:
    first, second = add(ledger), add(ledger, b"b.csv", 2)
    load(ledger, claim(ledger, first), batch(3), "plant/")
    counts = load(ledger, claim(ledger, second), batch(5, start=1), "plant/")
    assert (counts.read, counts.loaded, counts.duplicate) == (5, 3, 2)
    assert counts.balanced


def test_a_load_that_does_not_balance_is_refused(ledger: Ledger) -> None:
    file_id = add(ledger)
    plan = Load(Counts(read=99), OnChange.SUPERSEDE, "p", "h", "0", ())
    with pytest.raises(Exception, match=r"balance|Counts"):
        ledger.load(claim(ledger, file_id), [(batch(), keys(batch(), "x"))], plan)


def test_a_load_that_breaks_leaves_nothing(ledger: Ledger) -> None:
    file_id = add(ledger)
    claimed = claim(ledger, file_id)

    def broken() -> object:
        yield batch(), keys(batch(), "x")
        raise RuntimeError("no more")

    plan = Load(Counts(read=3), OnChange.SUPERSEDE, "p", "h", "0", ())
    with pytest.raises(RuntimeError):
        ledger.load(claimed, broken(), plan)  # type: ignore[arg-type]
    assert ledger.totals()["plant"].rows_loaded == 0
    assert load(ledger, claimed, batch()).loaded == 3


def test_checksums_tell_values_apart_and_do_not_depend_on_batches(ledger: Ledger) -> None:
    sums = []
    for n, parts in enumerate(([batch(4)], [batch(2), batch(2, start=2)], [batch(4, value=1.25)])):
        file_id = add(ledger, b"%d.csv" % n, n + 1)
        plan = Load(Counts(read=4), OnChange.SUPERSEDE, "p", "h", "0", ())
        # a name for each, but keys as of one name: what is summed is the same
        pairs = [(p, keys(p, "same")) for p in parts]
        if n:
            before = ledger.file(file_id - 1)
            assert before is not None
        ledger.load(claim(ledger, file_id), pairs, plan)
        view = ledger.file(file_id)
        assert view is not None
        sums.append((view.counts.loaded, int(view.checksum or 0)))
    assert sums[0][0] == 4
    assert sums[0][1] != 0
    assert sums[1] == (0, 0)  # every key was there already


def plan_of(rows: int, name: str) -> Load:
    reports = (StageReport(Stage.VALIDATE, 0.1, rows), StageReport(Stage.TRANSFORM, 0.2, rows))
    counts = Counts(read=rows, loaded=rows)
    return Load(counts, OnChange.SUPERSEDE, "p", "h", "0", reports, name)


def held_together(ledger: Ledger, count: int) -> list[tuple[Claim, list[Keyed], Load]]:
    files = []
    for number, file_id in enumerate(waiting(ledger, count)):
        silver, name = batch(number, start=100 * number), f"plant/{number}.csv"
        files.append(
            (claim(ledger, file_id), [(silver, keys(silver, name))], plan_of(number, name))
        )
    return files


def test_files_loaded_together_are_closed_as_if_they_were_alone(ledger: Ledger) -> None:
    files = held_together(ledger, 4)
    assert ledger.load_batch(files)
    for number, (claimed, _, _) in enumerate(files):
        view = ledger.file(claimed.file_id)
        assert view is not None
        assert (view.state, view.counts) == (State.LOADED, Counts(read=number, loaded=number))
        assert [(e.what, e.stage, e.rows) for e in ledger.history(claimed.file_id)][-3:] == [
            ("stage done", "validate", number),
            ("stage done", "transform", number),
            ("loaded", "load", number),
        ]
    assert ledger.totals()["plant"].rows_loaded == 0 + 1 + 2 + 3


def test_of_files_together_none_is_loaded_when_a_claim_is_lost(ledger: Ledger) -> None:
    files = held_together(ledger, 3)
    lost = files[1][0]
    ledger.nack(lost, Transient(Code.STORAGE, "away"), 0, counts_as_attempt=False)
    assert not ledger.load_batch(files)
    assert ledger.totals()["plant"].rows_loaded == 0
    assert [state(ledger, claimed.file_id) for claimed, _, _ in files] == [
        State.RUNNING,
        State.PENDING,
        State.RUNNING,
    ]
    claimed, batches, plan = files[2]
    stored = ledger.load(claimed, batches, replace(plan, counts=Counts(read=2)))
    assert stored.counts.loaded == 2


def test_of_files_together_none_is_loaded_when_a_key_is_there_already(ledger: Ledger) -> None:
    files = held_together(ledger, 3)
    other = add(ledger, b"other.csv", 9)
    ledger.load(claim(ledger, other), files[2][1], replace(plan_of(2, "x"), counts=Counts(read=2)))
    assert not ledger.load_batch(files)
    assert ledger.totals()["plant"].rows_loaded == 2
    claimed, batches, plan = files[2]
    stored = ledger.load(claimed, batches, replace(plan, counts=Counts(read=2)))
    assert (stored.counts.loaded, stored.counts.duplicate) == (0, 2)


def test_what_is_known_only_at_the_end_of_a_load_is_asked_for_then(ledger: Ledger) -> None:
    file_id, asked = add(ledger), []

    def rows() -> Iterator[Keyed]:
        yield batch(3), keys(batch(3), "x")
        asked.append("rows")

    def closing() -> Load:
        asked.append("closing")
        return replace(plan_of(5, "x"), counts=Counts(read=5, rejected=1, duplicate=1))

    before = replace(plan_of(0, "x"), counts=Counts())
    counts = ledger.load(claim(ledger, file_id), rows(), before, closing).counts
    assert asked == ["rows", "closing"]
    assert (counts.read, counts.loaded, counts.rejected, counts.duplicate) == (5, 3, 1, 1)


def test_a_file_that_is_the_first_of_too_many_months_is_not_loaded(ledger: Ledger) -> None:
    silver = batch(40)
    ts = pa.array([1_000_000_000 * 10**9 + n * 32 * 86400 * 10**9 for n in range(40)], pa.int64())
    silver = silver.set_column(0, silver.schema.field(0), ts.cast(silver.schema.field(0).type))
    claimed = claim(ledger, add(ledger))
    rows = [(silver, keys(silver, "plant/a.csv"))]
    plan = Load(Counts(read=40), OnChange.MERGE, "p", "h", "0", (), months=MonthLimits(100, 39))
    with pytest.raises(Permanent) as caught:
        ledger.load(claimed, rows, plan)
    assert caught.value.code == Code.TOO_MANY_MONTHS
    plan = replace(plan, months=MonthLimits(100, 40))
    assert ledger.load(claimed, rows, plan).counts.loaded == 40
