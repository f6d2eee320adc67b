"""Bronze -> silver: removes duplicates and sets quality flags, in file order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.cross_part import OrdinalAssigner
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.readings import SILVER


@dataclass(frozen=True)
class Reshaped:
    silver: pa.RecordBatch
    duplicates: int


def reshape(bronze: pa.RecordBatch, watch: QualityFlagger, seen: OrdinalAssigner) -> Reshaped:
    """Convert a bronze batch to silver (see `readings.SILVER`), without duplicates."""
    silver, duplicate = to_silver(bronze, watch, seen)
    return Reshaped(silver, int(duplicate.sum()))


def to_silver(
    bronze: pa.RecordBatch, watch: QualityFlagger, seen: OrdinalAssigner
) -> tuple[pa.RecordBatch, npt.NDArray[np.bool_]]:
    """Return the silver readings, and whether each bronze row was omitted as a duplicate."""
    ordinal, duplicate = seen.assign_ordinals(bronze)
    quality = bronze["quality"].to_numpy() | watch.flags(bronze)
    columns = {**{name: bronze[name] for name in bronze.schema.names}, "quality": pa.array(quality)}
    columns["ordinal"] = pa.array(ordinal)
    silver = pa.RecordBatch.from_arrays([columns[name] for name in SILVER.names], schema=SILVER)
    if duplicate.any():
        silver = silver.filter(pa.array(~duplicate))
    return silver, duplicate
