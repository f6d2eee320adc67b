"""Validates many small files as one chunk, so that the fixed cost of a chunk arises only once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.formats.chunk import Chunk, Spot
from sensorflow.core.profile import Profile
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.reshape import Reshaped, to_silver
from sensorflow.core.series import SeriesOfParts
from sensorflow.core.validation import Accepted, Validator

_SHIFT = 40
"""A row of a batch is numbered by one integer. This is the number of its low bits that contain the line
number; the higher bits contain the file's index in the batch."""


def is_row_local(profile: Profile) -> bool:
    """Return whether a profile validates each row independently of earlier rows and of the arrival time of
    the file.
    """
    rules = [rule for found in profile.rules.values() for rule in found]
    carried = any(rule.monotonic or rule.required or rule.future is not None for rule in rules)
    ordered = profile.time is not None and profile.time.ambiguous == "order"
    return not (carried or ordered or profile.fill_down)


def only_chunk(chunks: Iterator[Chunk]) -> Chunk | None:
    """Return the only chunk of a file. Returns None if the file does not have exactly one chunk, if a row
    could not be split into cells, if the chunk has untitled columns, or if the chunk has no readings."""
    first, second = next(chunks, None), next(chunks, None)
    if first is None or second is not None or first.rejects or first.records is not None:
        return None
    if first.binding.untitled:  # untitled columns are reported per file
        return None
    return first if len(first) and first.binding.measures else None


def have_same_shape(one: Chunk, other: Chunk) -> bool:
    """Return whether the chunks of two files have the same binding and the same column types."""
    return one.binding == other.binding and all(
        column.type == other.columns[index].type for index, column in one.columns.items()
    )


def validate_batch(chunks: Sequence[Chunk], profile: Profile) -> list[Accepted] | None:
    """Validate all files at once. Return the same results as a separate `Validator` for each file, or None
    if any reading is rejected.

    chunks: one per file, from `only_chunk`. All chunks must have the same shape (`have_same_shape`), and
    the profile must be row-local (`is_row_local`). If the result is None, the caller must validate each
    file separately.
    """
    lengths = [len(chunk) for chunk in chunks]
    place = np.repeat(np.arange(len(chunks), dtype=np.int64), lengths)
    columns = {
        index: pa.concat_arrays([chunk.columns[index] for chunk in chunks])
        for index in chunks[0].columns
    }
    typed = {i: pa.concat_arrays([chunk.typed[i] for chunk in chunks]) for i in chunks[0].typed}
    lines = np.concatenate([chunk.lines for chunk in chunks]) | place << _SHIFT
    validator = Validator(profile)
    no_spot = Spot(None, "")
    found = validator.validate(
        Chunk(chunks[0].binding, columns, lines, lambda _: no_spot, typed=typed)
    )
    if found.rejects:
        return None
    places = found.bronze["line_no"].to_numpy()
    ends = np.searchsorted(places >> _SHIFT, np.arange(len(chunks)), "right")
    missing = np.bincount(validator.missing_lines >> _SHIFT, minlength=len(chunks))
    bronze = _numbered(found.bronze, places & ((1 << _SHIFT) - 1))
    accepted, start = [], 0
    for chunk, end, gone in zip(chunks, ends.tolist(), missing.tolist(), strict=True):
        part = bronze.slice(start, end - start)
        accepted.append(Accepted(part, [], gone, chunk.rows, found.drift))
        start = end
    return accepted


def reshape_batch(accepted: Sequence[Accepted], profile: Profile) -> list[Reshaped]:
    """Convert the bronze of all files to silver at once. Return the same results as `reshape.reshape` for
    each file. accepted: the results of `validate_batch`.

    The total number of readings must not exceed `deduplicate.MAX_HELD_READINGS`.
    """
    counts = [len(file.bronze) for file in accepted]
    parts = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    combined = pa.concat_batches([file.bronze for file in accepted])
    series = SeriesOfParts(parts)
    silver, duplicate = to_silver(
        combined, QualityFlagger(profile.rules, series), Deduplicator(series)
    )
    ends = np.searchsorted(parts[~duplicate], np.arange(len(counts)), "right").tolist()
    found, start = [], 0
    for count, end in zip(counts, ends, strict=True):
        found.append(Reshaped(silver.slice(start, end - start), count - (end - start)))
        start = end
    return found


def _numbered(bronze: pa.RecordBatch, lines: npt.NDArray[np.int64]) -> pa.RecordBatch:
    index = bronze.schema.get_field_index("line_no")
    return bronze.set_column(index, bronze.schema.field(index), pa.array(lines))
