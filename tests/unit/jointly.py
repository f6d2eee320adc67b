"""Holds files that are judged and reshaped at once against each by itself."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence

from sensorflow.core import batch_validation, reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.profile import Profile
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.reshape import reshape
from sensorflow.core.validation import Accepted
from sensorflow.errors import Permanent

PLACE = FilePath("file.csv", "site/file.csv")


def alone(data: bytes, profile: Profile, place: FilePath = PLACE) -> list[Accepted]:
    return list(reading.read(io.BytesIO(data), profile, place, tempfile.TemporaryFile))


def at_once(
    files: Sequence[bytes], profile: Profile, place: FilePath = PLACE
) -> list[Accepted] | None:
    """None where they may not be, or where a reading is refused."""
    if not batch_validation.is_row_local(profile):
        return None
    try:
        chunks = [
            batch_validation.only_chunk(
                reading.chunks(io.BytesIO(data), profile, place, tempfile.TemporaryFile)
            )
            for data in files
        ]
    except Permanent:
        return None
    plain = [chunk for chunk in chunks if chunk is not None]
    if len(plain) < len(files) or not all(
        batch_validation.have_same_shape(plain[0], chunk) for chunk in plain
    ):
        return None
    return batch_validation.validate_batch(plain, profile)


def hold(files: Sequence[bytes], profile: Profile, place: FilePath = PLACE) -> bool:
    """Whether they could be judged at once; then each must be what it is by itself."""
    found = at_once(files, profile, place)
    if found is None:
        return False
    reshaped = batch_validation.reshape_batch(found, profile)
    for data, one, batches in zip(files, found, reshaped, strict=True):
        [wanted] = alone(data, profile, place)
        assert one.bronze.equals(wanted.bronze)
        one.bronze.validate(full=True)
        facts = (one.rejects, one.missing, one.rows, one.readings, one.drift)
        assert facts == ([], wanted.missing, wanted.rows, wanted.readings, wanted.drift)
        by_itself = reshape(wanted.bronze, QualityFlagger(profile.rules), Deduplicator())
        assert batches.silver.equals(by_itself.silver)
        assert batches.duplicates == by_itself.duplicates
    return True
