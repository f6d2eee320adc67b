"""Where a file's rows lie in the lake: Hive-style partition folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol


class Layer(StrEnum):
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"


class _File(Protocol):
    """What a record of the ledger says of a file."""

    @property
    def source(self) -> str: ...
    @property
    def sensor_type(self) -> str: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def file_id(self) -> int: ...
    @property
    def version(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LayerFile:
    """Which file's part of a layer is meant: what never changes about the file.

    So a second run finds or overwrites the first's output. received_at: when it was landed (aware).
    """

    source: str
    sensor_type: str
    received_at: datetime
    file_id: int
    version: int

    @classmethod
    def of(cls, file: _File) -> LayerFile:
        return cls(file.source, file.sensor_type, file.received_at, file.file_id, file.version)


def layer_path(layer: Layer, file: LayerFile) -> str:
    """The path of one file's part of a layer, below the lake's root.

    `ingest_date` is the UTC day on which the file was landed.
    """
    day = file.received_at.astimezone(UTC).date().isoformat()
    leaf = f"file-{file.file_id}-v{file.version}.parquet"
    if layer is Layer.SILVER:
        return f"silver/ingest_date={day}/sensor_type={file.sensor_type}/{leaf}"
    return f"{layer}/source={file.source}/ingest_date={day}/{leaf}"


_LEAF = re.compile(r"file-(\d{1,18})-v(\d{1,9})\.parquet")


def file_of(path: str) -> tuple[Layer, int, int] | None:
    """The layer, the file id and the version of a path that `layer_path` made; None for any other."""
    first, _, rest = path.partition("/")
    leaf = _LEAF.fullmatch(rest.rpartition("/")[2])
    if leaf is None or first not in list(Layer):
        return None
    return Layer(first), int(leaf[1]), int(leaf[2])
