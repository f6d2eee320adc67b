"""Two things at once in the database, in the order that does the most harm."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from samples import add, arrival, batch, claim, load

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.dedupe import keys
from sensorflow.core.states import State
from sensorflow.ports import Counts, Kind, Load, OnChange


def test_an_alias_that_arrives_while_its_twin_is_superseded_keeps_its_readings(
    ledger: PostgresLedger,
) -> None:
    old = add(ledger, b"a.csv", 1)
    load(ledger, claim(ledger, old), batch(3), "plant/a.csv")
    new = claim(ledger, add(ledger, b"a.csv", 2))
    kinds = []

    def rows() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        # the old version is marked, nothing is committed yet
        kinds.append(ledger.register(arrival(b"b.csv", 1), OnChange.SUPERSEDE, False).kind)
        yield batch(2), keys(batch(2), "plant/a.csv")

    ledger.load(new, rows(), Load(Counts(read=2), OnChange.SUPERSEDE, "p", "h", "0", ()))
    assert kinds == [Kind.ALIAS]
    (heir,) = [view for view in ledger.files() if view.name == "b.csv"]
    assert heir.state is State.PENDING
    load(ledger, claim(ledger, heir.file_id), batch(3), "plant/b.csv")
    assert ledger.totals()["plant"]["rows_loaded"] == 5
