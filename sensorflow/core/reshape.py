"""Bronze -> silver: repeats are told, flags are set, in the file's order."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from sensorflow.core.dedupe import Occurrences
from sensorflow.core.quality import Watch
from sensorflow.core.readings import SILVER


@dataclass(frozen=True)
class Reshaped:
    silver: pa.RecordBatch
    duplicates: int


def reshape(bronze: pa.RecordBatch, watch: Watch, seen: Occurrences) -> Reshaped:
    """One bronze batch -> its readings (see `readings.SILVER`), without the exact repeats."""
    ordinal, duplicate = seen.number(bronze)
    quality = bronze["quality"].to_numpy() | watch.flags(bronze)
    columns = {**{name: bronze[name] for name in bronze.schema.names}, "quality": pa.array(quality)}
    columns["ordinal"] = pa.array(ordinal)
    silver = pa.RecordBatch.from_arrays([columns[name] for name in SILVER.names], schema=SILVER)
    if duplicate.any():
        silver = silver.filter(pa.array(~duplicate))
    return Reshaped(silver, int(duplicate.sum()))
