"""Bronze -> canonical readings (silver)."""

from __future__ import annotations

from sensorflow.core.dedupe import Occurrences
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.core.reshape import reshape
from sensorflow.flow.work import Job


def transform(job: Job) -> tuple[Job, int]:
    """Write silver; returns the job with its counts, and the rows of silver."""
    seen = Occurrences()
    rows = duplicates = 0
    with job.world.lake.writer(job.path(Layer.SILVER), SILVER) as silver:
        for batch in job.world.lake.read(job.path(Layer.BRONZE)):
            done = reshape(batch, job.profile, seen)
            silver.write(done.silver)
            rows += len(done.silver)
            duplicates += done.duplicates
    return job.counted(duplicate=duplicates), rows
