"""The deep level."""

from __future__ import annotations

from sensorflow.flow.audit.report import Report, Subset
from sensorflow.flow.audit.sight import Sight
from sensorflow.ports import Snapshot


def read_again(sight: Sight, report: Report, snapshot: Snapshot, subset: Subset) -> None:
    raise NotImplementedError
