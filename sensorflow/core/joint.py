"""Many small files judged at once: what a chunk costs, whatever its size, is paid once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.formats.chunk import Chunk, Spot
from sensorflow.core.judge import Accepted, Judge
from sensorflow.core.occurrences import Occurrences
from sensorflow.core.profile import Profile
from sensorflow.core.quality import Watch
from sensorflow.core.reshape import Reshaped, told
from sensorflow.core.series import SeriesOfParts

_SHIFT = 40
"""Bits of a line's number; above them stands the file's place."""


def plain(profile: Profile) -> bool:
    """Whether a profile judges each row by itself: nothing is carried from one to the next, and nothing
    depends on when the file came."""
    rules = [rule for found in profile.rules.values() for rule in found]
    carried = any(rule.monotonic or rule.required or rule.future is not None for rule in rules)
    ordered = profile.time is not None and profile.time.ambiguous == "order"
    return not (carried or ordered or profile.fill_down)


def only(chunks: Iterator[Chunk]) -> Chunk | None:
    """The chunk of a file that is one, each of its rows cut into cells; None of any other."""
    first, second = next(chunks, None), next(chunks, None)
    if first is None or second is not None or first.rejects or first.records is not None:
        return None
    if first.layout.untitled:  # what stands there is noted of each file
        return None
    return first if len(first) and first.layout.measures else None


def alike(one: Chunk, other: Chunk) -> bool:
    """Whether the rows of two files mean the same, and are told in the same types."""
    return one.layout == other.layout and all(
        column.type == other.columns[index].type for index, column in one.columns.items()
    )


def judge(chunks: Sequence[Chunk], profile: Profile) -> list[Accepted] | None:
    """What a `Judge` of each would accept, of the only chunks of files that are `alike`, by a profile
    that is `plain`. None where a reading is refused: then each is to be judged by itself."""
    lengths = [len(chunk) for chunk in chunks]
    place = np.repeat(np.arange(len(chunks), dtype=np.int64), lengths)
    columns = {
        index: pa.concat_arrays([chunk.columns[index] for chunk in chunks])
        for index in chunks[0].columns
    }
    typed = {i: pa.concat_arrays([chunk.typed[i] for chunk in chunks]) for i in chunks[0].typed}
    lines = np.concatenate([chunk.lines for chunk in chunks]) | place << _SHIFT
    judging = Judge(profile)
    nowhere = Spot(None, "")
    found = judging.judge(Chunk(chunks[0].layout, columns, lines, lambda _: nowhere, typed=typed))
    if found.rejects:
        return None
    places = found.bronze["line_no"].to_numpy()
    ends = np.searchsorted(places >> _SHIFT, np.arange(len(chunks)), "right")
    missing = np.bincount(judging.missing_lines >> _SHIFT, minlength=len(chunks))
    bronze = _numbered(found.bronze, places & ((1 << _SHIFT) - 1))
    accepted, start = [], 0
    for chunk, end, gone in zip(chunks, ends.tolist(), missing.tolist(), strict=True):
        part = bronze.slice(start, end - start)
        accepted.append(Accepted(part, [], gone, chunk.rows, found.drift))
        start = end
    return accepted


def reshape(accepted: Sequence[Accepted], profile: Profile) -> list[Reshaped]:
    """What `reshape.reshape` would make of each file by itself, of the files that `judge` was given.

    No more readings than `occurrences.HELD`.
    """
    counts = [len(file.bronze) for file in accepted]
    parts = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    whole = pa.concat_batches([file.bronze for file in accepted])
    series = SeriesOfParts(parts)
    silver, duplicate = told(whole, Watch(profile.rules, series), Occurrences(series))
    ends = np.searchsorted(parts[~duplicate], np.arange(len(counts)), "right").tolist()
    found, start = [], 0
    for count, end in zip(counts, ends, strict=True):
        found.append(Reshaped(silver.slice(start, end - start), count - (end - start)))
        start = end
    return found


def _numbered(bronze: pa.RecordBatch, lines: npt.NDArray[np.int64]) -> pa.RecordBatch:
    index = bronze.schema.get_field_index("line_no")
    return bronze.set_column(index, bronze.schema.field(index), pa.array(lines))
