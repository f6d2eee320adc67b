"""Landed bytes -> bronze rows and rejects."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from sensorflow.core import reading
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.layouts import Layouts
from sensorflow.core.binding.place import Place
from sensorflow.core.formats.chunk import Reject, reject_batch
from sensorflow.core.gates.announced import require_rows
from sensorflow.core.growth import Part
from sensorflow.core.judge import Accepted
from sensorflow.core.partitions import Layer
from sensorflow.core.profile import Profile
from sensorflow.core.readings import BRONZE, REJECTS
from sensorflow.errors import DO, Code, Permanent, row_remedy
from sensorflow.flow import deadlines
from sensorflow.flow.chained import up_to
from sensorflow.flow.gates import announced
from sensorflow.flow.work import Job
from sensorflow.memory import lean
from sensorflow.ports.files import Counts
from sensorflow.ports.layers import LayerWriter

SPILL = 16 << 20


def validate(job: Job) -> tuple[Job, int, str]:
    """Write bronze and rejects; returns the job with its counts, the rows of bronze, and what drifted.

    Raises Permanent when the file as a whole cannot be loaded: nothing of it is, then.
    """
    with Validation(job) as validation:
        for _ in validation:
            pass
        job.confirm()
    return validation.job, validation.rows, validation.note


class Validation:
    """Yields the batches of bronze as they are written; a context that ends when the file is through.
    Raises Fenced at the next batch when the lease is lost.

    job, rows, note: what `validate` returns, known at the end. Both layers appear then, or, where it is
    left early, neither does. accepted: what was read of the file already, with others.
    """

    def __init__(self, job: Job, accepted: Iterable[Accepted] | None = None) -> None:
        self.job = job
        self._accepted = accepted
        self.rows = 0
        self._layers = ExitStack()
        self._refused: LayerWriter | None = None
        self._drift: dict[str, None] = {}
        self._codes: Counter[Code] = Counter()

    def __enter__(self) -> Validation:
        job = self.job
        job.require_lease()
        self._announced = announced(job)
        with ExitStack() as layers:
            if self._accepted is None:
                self._accepted = _accepted(layers.enter_context(opened(job)), job)
            bronze = job.world.lake.writer(Layer.BRONZE, job.file, BRONZE)
            self._bronze = layers.enter_context(bronze)
            self._layers = layers.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._layers.__exit__(kind, error, trace)
        if kind is None:
            self._close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        read = rejected = missing = rows = 0
        for accepted in lean(self._accepted or ()):
            self.job.require_lease()
            self._bronze.write(accepted.bronze)
            if accepted.rejects:
                self._refuse(accepted.rejects)
            self.rows += len(accepted.bronze)
            read += accepted.readings
            rejected += len(accepted.rejects)
            rows += accepted.rows
            missing += accepted.missing
            self._drift.update(dict.fromkeys(accepted.drift))
            yield accepted.bronze
        self.job = self.job.counted(read=read, rejected=rejected, missing=missing)
        require_rows(self._announced, rows)
        if self.job.claim.again:  # what a load left is not replaced by what will not be loaded
            _tolerate(self.job, self._codes)

    def _refuse(self, rejects: list[Reject]) -> None:
        if self._refused is None:
            writer = self.job.world.lake.writer(Layer.REJECTS, self.job.file, REJECTS)
            self._refused = self._layers.enter_context(writer)
        self._refused.write(reject_batch(rejects))
        self._codes.update(reject.code for reject in rejects)

    def _close(self) -> None:
        if self._refused is None and not self.job.claim.fresh:
            # nor those of an earlier try, by another profile
            self.job.world.lake.delete(Layer.REJECTS, self.job.file)
        _tolerate(self.job, self._codes)

    @property
    def note(self) -> str:
        drift = "; ".join(list(self._drift)[:10])
        return f"drift: {drift}"[:1000] if drift else ""


def _tolerate(job: Job, codes: Counter[Code]) -> None:
    """Of a growing file all of it counts, as far as it was loaded."""
    rejected, read, whose = job.counts.rejected, job.counts.read, "readings"
    if rejected and (part := job.claim.part) is not None:
        rejected, read = rejected + part.rows_rejected, read + part.rows_read
        whose = "readings of the file so far"
    if not job.source.tolerates(rejected, read):
        found = f"{rejected:,} of {read:,} {whose} are rejected"
        what = f"{found}, the source tolerates {job.source.max_rejects}"
        raise TooManyRejects(job.counts, what, cause(codes, job.profile.format))


class TooManyRejects(Permanent):
    """Knows the counts, so that the ledger can show them."""

    def __init__(self, counts: Counts, message: str, do: str | None = None) -> None:
        super().__init__(Code.TOO_MANY_REJECTS, message, do=do)
        self.counts = counts

    def __reduce__(self) -> tuple[Any, ...]:
        return (TooManyRejects, (self.counts, self.message, self.place.get(DO)))


def cause(codes: Counter[Code], form: str) -> str | None:
    """What to do, by the code of most rejected rows."""
    if not codes:
        return None
    code = codes.most_common(1)[0][0]
    if not (do := row_remedy(code, form)):
        return None
    what = f"most rejected rows are {code}: {do}; then replay"
    return f"{what}. Or raise max_rejects, if they are to be left out"


def _accepted(stream: BinaryIO, job: Job) -> Iterator[Accepted]:
    received = int(job.claim.received_at.timestamp()) * 10**9
    part, number = job.claim.part, job.claim.file_id
    drift, layouts = job.source.drift, job.world.layouts
    return judged(stream, job.profile, job.place, drift, layouts, received, part, number)


def judged(
    stream: BinaryIO,
    profile: Profile,
    place: Place,
    drift: Drift,
    layouts: Layouts,
    received: int | None,
    part: Part | None = None,
    file_id: int = 0,
) -> Iterator[Accepted]:
    """What is read of a file, within the profile's time, for workers and dry runs alike.

    See `reading.read`. file_id: 0 of a file that the ledger does not know.
    """
    began, limit = time.monotonic(), profile.max_seconds
    parts = reading.read(stream, profile, place, scratch, drift, received, part, layouts)
    while True:
        with deadlines.reading(file_id, max(0.0, began + limit - time.monotonic())):
            accepted = next(parts, None)
        if accepted is None:
            return
        yield accepted
        if time.monotonic() - began > limit:
            raise Permanent(Code.TOO_SLOW, f"reading the file took more than {limit:g} s to read")


@contextmanager
def opened(job: Job) -> Iterator[BinaryIO]:
    """The landed bytes of a file; Permanent if they are not those that were landed. Of a growing file
    those up to the end of its part, of which the part's are looked at."""
    with job.world.landing.open(job.claim.landing) as stream:
        _check_bytes(stream, job.claim.sha256)
        yield stream if job.claim.part is None else up_to(job, job.claim.part, stream)


def scratch() -> BinaryIO:
    return tempfile.SpooledTemporaryFile(SPILL)  # type: ignore[return-value]


def _check_bytes(stream: BinaryIO, sha256: bytes) -> None:
    found = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    if found != sha256:
        raise Permanent(
            Code.BYTES_CHANGED,
            f"the landed bytes have SHA-256 {found.hex()}, the ledger says {sha256.hex()}",
        )
    stream.seek(0)
