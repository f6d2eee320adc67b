"""Turn landed bytes into bronze rows and rejects."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from sensorflow.core import reading
from sensorflow.core.binding.cache import BindingCache
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import Reject, reject_batch
from sensorflow.core.gates.announced import require_rows
from sensorflow.core.growth import Part
from sensorflow.core.partitions import Layer
from sensorflow.core.profile import Profile
from sensorflow.core.readings import BRONZE, REJECTS
from sensorflow.core.validation import Accepted
from sensorflow.errors import DO, Code, Permanent, row_remedy
from sensorflow.flow import deadlines
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.gates import announced
from sensorflow.flow.growing_parts import open_up_to
from sensorflow.flow.verified import open_verified
from sensorflow.memory import trimming_heap
from sensorflow.ports.files import Counts
from sensorflow.ports.layers import LayerWriter

SPILL_BYTES = 16 << 20


def validate(file_task: FileTask) -> tuple[FileTask, int, str]:
    """Write bronze and rejects. Returns the file task with its counts, the number of bronze rows, and a
    note about drift.

    Raises Permanent if the file cannot be loaded; see `Validation` for the layers that exist in this case.
    """
    with Validation(file_task) as validation:
        for _ in validation:
            pass
        file_task.ensure_claim()
    return validation.file_task, validation.rows, validation.note


class Validation:
    """Validates a file. A context manager, and an iterator over the batches of bronze, which it writes to
    the lake during the iteration. Raises Fenced before the next batch if the lease is lost.

    file_task, rows, note: the results, see `validate`; available at the end. Bronze and rejects appear in
    the lake when the context exits; after an exception, neither appears. There is one exception: if a file
    that was never loaded has too many rejects, both layers appear before TooManyRejects is raised on exit,
    because the quarantine's manifest needs the rejects. accepted: the rows of the file if they were already
    read in a batch, else None.
    """

    def __init__(self, file_task: FileTask, accepted: Iterable[Accepted] | None = None) -> None:
        self.file_task = file_task
        self._accepted = accepted
        self.rows = 0
        self._layers = ExitStack()
        self._rejects: LayerWriter | None = None
        self._drift: dict[str, None] = {}
        self._codes: Counter[Code] = Counter()

    def __enter__(self) -> Validation:
        file_task = self.file_task
        file_task.require_lease()
        self._announced = announced(file_task)
        with ExitStack() as layers:
            if self._accepted is None:
                self._accepted = _accepted(layers.enter_context(open_landed(file_task)), file_task)
            bronze = file_task.services.lake.writer(Layer.BRONZE, file_task.layer_file, BRONZE)
            self._bronze = layers.enter_context(bronze)
            self._layers = layers.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._layers.__exit__(kind, error, trace)
        if kind is None:
            self._close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        read = rejected = missing = rows = 0
        for accepted in trimming_heap(self._accepted or ()):
            self.file_task.require_lease()
            self._bronze.write(accepted.bronze)
            if accepted.rejects:
                self._write_rejects(accepted.rejects)
            self.rows += len(accepted.bronze)
            read += accepted.readings
            self.file_task.meter.rows = read
            rejected += len(accepted.rejects)
            rows += accepted.rows
            missing += accepted.missing
            self._drift.update(dict.fromkeys(accepted.drift))
            yield accepted.bronze
        self.file_task = self.file_task.with_counts(read=read, rejected=rejected, missing=missing)
        require_rows(self._announced, rows)
        if (
            self.file_task.claim.has_loaded_rows
        ):  # fail before the layers of the previous load are replaced
            _require_tolerated(self.file_task, self._codes)

    def _write_rejects(self, rejects: list[Reject]) -> None:
        if self._rejects is None:
            writer = self.file_task.services.lake.writer(
                Layer.REJECTS, self.file_task.layer_file, REJECTS
            )
            self._rejects = self._layers.enter_context(writer)
        self._rejects.write(reject_batch(rejects))
        self._codes.update(reject.code for reject in rejects)

    def _close(self) -> None:
        if self._rejects is None and not self.file_task.claim.is_first_claim:
            # remove the rejects of an earlier attempt
            self.file_task.services.lake.delete(Layer.REJECTS, self.file_task.layer_file)
        _require_tolerated(self.file_task, self._codes)

    @property
    def note(self) -> str:
        drift = "; ".join(list(self._drift)[:10])
        return f"drift: {drift}"[:1000] if drift else ""


def _require_tolerated(file_task: FileTask, codes: Counter[Code]) -> None:
    """Raises TooManyRejects if the share of rejects exceeds the source's `max_rejects`. For a growing file,
    the rejects of all parts so far are counted."""
    rejected, read, subject = file_task.counts.rejected, file_task.counts.read, "readings"
    if rejected and (part := file_task.claim.part) is not None:
        rejected, read = rejected + part.rows_rejected, read + part.rows_read
        subject = "readings of the file so far"
    if not file_task.source.tolerates(rejected, read):
        found = f"{rejected:,} of {read:,} {subject} are rejected"
        what = f"{found}, the source tolerates {file_task.source.max_rejects}"
        raise TooManyRejects(file_task.counts, what, main_remedy(codes, file_task.profile.format))


class TooManyRejects(Permanent):
    """Raised if the file has too many rejects. Contains the counts for the ledger."""

    def __init__(self, counts: Counts, message: str, do: str | None = None) -> None:
        super().__init__(Code.TOO_MANY_REJECTS, message, do=do)
        self.counts = counts

    def __reduce__(self) -> tuple[Any, ...]:
        return (TooManyRejects, (self.counts, self.message, self.place.get(DO)))


def main_remedy(codes: Counter[Code], form: str) -> str | None:
    """Returns the remedy for the most frequent code among the rejected rows."""
    if not codes:
        return None
    code = codes.most_common(1)[0][0]
    if not (do := row_remedy(code, form)):
        return None
    what = f"most rejected rows are {code}: {do}; then replay"
    return f"{what}. If these rows may be left out, raise max_rejects instead"


def _accepted(stream: BinaryIO, file_task: FileTask) -> Iterator[Accepted]:
    received = int(file_task.claim.received_at.timestamp()) * 10**9
    part, number = file_task.claim.part, file_task.claim.file_id
    drift, bindings = file_task.source.drift, file_task.services.bindings
    return read_validated(
        stream, file_task.profile, file_task.file_path, drift, bindings, received, part, number
    )


def read_validated(
    stream: BinaryIO,
    profile: Profile,
    place: FilePath,
    drift: Drift,
    bindings: BindingCache,
    received: int | None,
    part: Part | None = None,
    file_id: int = 0,
) -> Iterator[Accepted]:
    """Yield the rows of a file. Raises Permanent TOO_SLOW once the profile's `max_seconds` have passed.
    Used by workers and dry runs.

    See `reading.read`. file_id: 0 for a file that is not in the ledger.
    """
    began, limit = time.monotonic(), profile.max_seconds
    parts = reading.read(stream, profile, place, scratch_file, drift, received, part, bindings)
    while True:
        with deadlines.reading(file_id, max(0.0, began + limit - time.monotonic())):
            accepted = next(parts, None)
        if accepted is None:
            return
        yield accepted
        if time.monotonic() - began > limit:
            raise Permanent(Code.TOO_SLOW, f"reading the file took more than {limit:g} s")


@contextmanager
def open_landed(file_task: FileTask) -> Iterator[BinaryIO]:
    """Yield a stream of the landed bytes. Raises Permanent if the bytes have changed since they were
    landed. For a part of a growing file, the stream contains the growing file from its start to the end of
    the part; the earlier parts are verified when the stream reaches them."""
    claim = file_task.claim
    with open_verified(
        file_task.services.landing, claim.landing, claim.size, claim.sha256
    ) as stream:
        file_task.meter.begin(claim.size, stream)
        yield (stream if claim.part is None else open_up_to(file_task, claim.part, stream))


def scratch_file() -> BinaryIO:
    return tempfile.SpooledTemporaryFile(SPILL_BYTES)  # type: ignore[return-value]
