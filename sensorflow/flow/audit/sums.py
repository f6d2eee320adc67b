"""The checksum level."""

from __future__ import annotations

from sensorflow.flow.audit.report import Report
from sensorflow.flow.audit.sight import Sight
from sensorflow.ports import Snapshot


def checksums(sight: Sight, report: Report, snapshot: Snapshot) -> None:
    raise NotImplementedError
