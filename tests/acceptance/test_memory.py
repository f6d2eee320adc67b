"""A file that would take all memory costs its own attempts, and no neighbour anything."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from fleet import fleet, rows, text

BOMBS = {
    "max_memory": "1500 MiB",
    "sources": {"bombs": {"profile": "bomb"}},
    "profiles": {"bomb": {"format": "parquet", "time": "t", "sensor": "s", "columns": ["v"]}},
}


def bomb() -> bytes:
    """A few KiB that unpack to a text column of almost 4 GB in one batch."""
    count = 65_536
    name = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), ["x" * 60_000])
    times = pa.array(np.arange(count), pa.timestamp("us", tz="UTC"))
    sink = io.BytesIO()
    pq.write_table(pa.table({"t": times, "s": name, "v": np.zeros(count)}), sink)
    return sink.getvalue()


def test_a_memory_bomb_is_quarantined_after_three_tries_and_its_neighbours_load(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, **BOMBS) as f:
        (project / "bombs").mkdir()
        (project / "bombs" / "b.parquet").write_bytes(bomb())
        for number in range(5):
            f.put(f"{number}.csv", text(rows(number, 50, random.Random(number))))
        f.start("daemon", "worker", "beat")
        query = "SELECT error_code, attempts FROM files WHERE source = 'bombs' AND state = 'quarantined'"
        with psycopg.connect(database, autocommit=True) as connection:
            f.wait(lambda: connection.execute(query).fetchone() is not None)
            (code, _) = connection.execute(query).fetchone()  # type: ignore[misc]
        assert code == "F217 out-of-memory"
        f.wait(lambda: f.counts()["loaded"] == 5)
