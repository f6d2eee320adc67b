"""Where a file's rows lie in the lake: Hive-style partition folders."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum


class Layer(StrEnum):
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"


def layer_path(
    layer: Layer, source: str, sensor_type: str, received_at: datetime, file_id: int, version: int
) -> str:
    """The path of one file's part of a layer, below the lake's root.

    Made of what never changes about the file, so that a second run finds or overwrites the first's
    output. `ingest_date` is the UTC day on which the file was landed.
    """
    day = received_at.astimezone(UTC).date().isoformat()
    leaf = f"file-{file_id}-v{version}.parquet"
    if layer is Layer.SILVER:
        return f"silver/ingest_date={day}/sensor_type={sensor_type}/{leaf}"
    return f"{layer}/source={source}/ingest_date={day}/{leaf}"


_LEAF = re.compile(r"file-(\d{1,18})-v(\d{1,9})\.parquet")


def file_of(path: str) -> tuple[Layer, int] | None:
    """The layer and the file id of a path that `layer_path` made; None for any other."""
    first, _, rest = path.partition("/")
    leaf = _LEAF.fullmatch(rest.rpartition("/")[2])
    return (Layer(first), int(leaf[1])) if leaf and first in list(Layer) else None
