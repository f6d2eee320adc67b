"""A claim that has to wait for the publisher, which is recording the same messages as sent."""

from __future__ import annotations

import threading
import time

import psycopg
from samples import arrival

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.states import WORK
from sensorflow.ports.claims import Claimed
from sensorflow.ports.intake import OnChange

FILES = 250
"""So many that the planner reads the table instead of an index."""
WAITING = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE %s
"""


def test_all_files_of_a_message_are_claimed_after_a_wait(database: str) -> None:
    ledger = PostgresLedger(database, "test")
    arrivals = [arrival(b"%d.csv" % number, number) for number in range(FILES)]
    ids = [ledger.register(one, OnChange.MERGE, False).file_id for one in arrivals]
    found: list[Claimed] = []
    url = database.replace("+psycopg", "")
    with psycopg.connect(url) as publisher, psycopg.connect(url, autocommit=True) as observer:
        publisher.execute("UPDATE files SET published_at = now()")
        thread = threading.Thread(
            target=lambda: found.append(ledger.claim_many(ids[2:7], WORK, "me", 60))
        )
        thread.start()
        until = time.monotonic() + 20
        while observer.execute(WAITING, ("WITH message AS%",)).fetchone() == (0,):
            assert time.monotonic() < until
            time.sleep(0.01)
        publisher.commit()
        thread.join()
    ledger.close()
    assert [claim.file_id for claim in found[0].claims] == ids[2:7]
