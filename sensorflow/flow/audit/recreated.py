"""Layer folders that were deleted and created again. A file that is missing in such a folder may exist
elsewhere, for example on a disk that is not mounted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sensorflow.flow.audit.report import Report
from sensorflow.ports.audit import FileRecord

STRADDLED = timedelta(hours=1)
"""Margin for comparing finish times with a folder's creation time. A layer's folder may be created after
the ledger's finish time of its first file."""


@dataclass
class RecreatedFolder:
    """A layer's folder that may have been created again, and the number of missing files that were written
    before that.

    location: path or URL of the folder, for messages. landing: creation time of the landing zone, which is
    created before any layer. began: creation time of the folder. For both times see
    `ObjectStore.created_at`. files: the number of missing files that were written before `began`.
    """

    location: str
    landing: datetime | None
    began: datetime | None
    files: int = 0

    def explains(self, record: FileRecord) -> bool:
        """Whether a missing file was written before the folder was created again. If it was, `files` is
        incremented."""
        recreated_at = self.began
        if recreated_at is None:
            return False
        before = self.landing is not None and record.received_at < self.landing
        end = record.finished_at
        if not before and (end is None or end >= recreated_at - STRADDLED):
            return False
        self.files += 1
        return True

    def report(self, report: Report) -> None:
        if self.files and self.began:
            report.not_checked.append(
                f"{self.files:,} files of {self.location}: it was created again at "
                f"{self.began:%Y-%m-%d %H:%M:%S} UTC, after these files were written. Was the old "
                "folder moved, is its disk not mounted, or does [storage] name another bucket? If the "
                f"files are lost for good, remove {self.location}/.began and audit again"
            )
