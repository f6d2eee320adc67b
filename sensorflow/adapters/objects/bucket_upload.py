"""Uploads a large object in parts. The object appears when the upload is completed."""

from __future__ import annotations

from typing import Any

from sensorflow.adapters.objects.bucket_access import BucketAccess
from sensorflow.adapters.objects.bucket_batch import PARTS_AT_ONCE
from sensorflow.adapters.objects.bucket_errors import bucket_errors
from sensorflow.adapters.objects.obstore_module import obstore
from sensorflow.adapters.objects.request_counts import RequestCounts


class Upload:
    """A multipart upload. It holds at most PARTS_AT_ONCE + 1 parts in memory. Methods raise Transient
    STORAGE. part_bytes: size of all parts but the last one."""

    def __init__(
        self, access: BucketAccess, key: str, part_bytes: int, counts: RequestCounts
    ) -> None:
        self._access, self._key, self._counts = access, key, counts
        self._part_bytes, self._bytes = part_bytes, 0
        with self._errors():
            self._writer: Any = obstore().open_writer(
                access.store, key, buffer_size=part_bytes, max_concurrency=PARTS_AT_ONCE
            )

    def write(self, block: bytes) -> None:
        with self._errors():
            self._writer.write(block)
        self._bytes += len(block)

    def complete(self) -> None:
        """Send the rest, and make the object appear."""
        with self._errors():
            self._writer.close()
        parts = -(-self._bytes // self._part_bytes)
        self._counts.add("put", parts + 2 if parts > 1 else 1)

    def abort(self) -> None:
        """Remove the parts that were sent."""
        with self._errors():
            self._writer.__exit__(RuntimeError, RuntimeError("aborted"), None)

    def _errors(self) -> Any:
        return bucket_errors("write", self._access.place(self._key))
