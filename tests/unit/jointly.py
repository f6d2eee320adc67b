"""Holds files that are judged and reshaped at once against each by itself."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence

from sensorflow.core import joint, reading
from sensorflow.core.binding.place import Place
from sensorflow.core.judge import Accepted
from sensorflow.core.occurrences import Occurrences
from sensorflow.core.profile import Profile
from sensorflow.core.quality import Watch
from sensorflow.core.reshape import reshape
from sensorflow.errors import Permanent

PLACE = Place("file.csv", "site/file.csv")


def alone(data: bytes, profile: Profile, place: Place = PLACE) -> list[Accepted]:
    return list(reading.read(io.BytesIO(data), profile, place, tempfile.TemporaryFile))


def at_once(
    files: Sequence[bytes], profile: Profile, place: Place = PLACE
) -> list[Accepted] | None:
    """None where they may not be, or where a reading is refused."""
    if not joint.plain(profile):
        return None
    try:
        chunks = [
            joint.only(reading.chunks(io.BytesIO(data), profile, place, tempfile.TemporaryFile))
            for data in files
        ]
    except Permanent:
        return None
    plain = [chunk for chunk in chunks if chunk is not None]
    if len(plain) < len(files) or not all(joint.alike(plain[0], chunk) for chunk in plain):
        return None
    return joint.judge(plain, profile)


def hold(files: Sequence[bytes], profile: Profile, place: Place = PLACE) -> bool:
    """Whether they could be judged at once; then each must be what it is by itself."""
    found = at_once(files, profile, place)
    if found is None:
        return False
    reshaped = joint.reshape(found, profile)
    for data, one, made in zip(files, found, reshaped, strict=True):
        [wanted] = alone(data, profile, place)
        assert one.bronze.equals(wanted.bronze)
        one.bronze.validate(full=True)
        told = (one.rejects, one.missing, one.rows, one.readings, one.drift)
        assert told == ([], wanted.missing, wanted.rows, wanted.readings, wanted.drift)
        by_itself = reshape(wanted.bronze, Watch(profile.rules), Occurrences())
        assert made.silver.equals(by_itself.silver)
        assert made.duplicates == by_itself.duplicates
    return True
