"""One case: a file under a profile, and what must hold of it."""

from __future__ import annotations

import codecs
import io
import random
import re
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pydantic
from mutations import mutate
from seeds import OPTIONS, ProfileTable, parquet

from sensorflow.core import reading
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats import csv, lines
from sensorflow.core.formats.compression import kind_of
from sensorflow.core.formats.encoding import BLOCK
from sensorflow.core.profile import Profile
from sensorflow.core.times.civil import EARLIEST, LATEST
from sensorflow.core.validation import Accepted
from sensorflow.errors import Code, Permanent

Seeds = list[tuple[ProfileTable, bytes]]
Case = tuple[ProfileTable, bytes, int]
"""(profile, bytes, which policy on new columns)"""

PLACE = FilePath("station_1.csv", "a/station_1.csv")
RECEIVED = 1_800_000_000 * 10**9
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


def make(seed: int, index: int, seeds: Seeds) -> Case:
    """The case of these numbers, always the same."""
    rng = random.Random(f"{seed}:{index}")
    profile, data = rng.choice(seeds)
    is_whole = profile["format"] == "parquet" and rng.random() < 0.7
    if is_whole:
        data = parquet(rng)
    elif rng.random() < 0.1:
        data = rng.choice(seeds)[1]
    for _ in range(rng.choice([0, 0, 1, 2, 4])):
        changed = profile | rng.choice(OPTIONS)
        profile = changed if _is_valid(changed) else profile
    spoiled = data if is_whole else mutate(data, [d for _, d in seeds], rng)
    return profile, spoiled, rng.randrange(3)


def _is_valid(table: ProfileTable) -> bool:
    try:
        Profile.model_validate(table)
    except pydantic.ValidationError:
        return False
    return True


def run(case: Case, thoroughly: bool) -> str:
    """How the file ended: "accepted", or the code of what refused it. Raises what must not be.

    thoroughly: read it again, and line by line, and in small blocks: it must come to the same.
    """
    output = CaseOutput(case)
    if thoroughly:
        output.compare(CaseOutput(case), "read twice")
        with patch.object(csv._Table, "_fast", lambda self, block: None):
            output.compare(CaseOutput(case), "read line by line")
        with patch.object(lines, "BLOCK", 97), patch.object(csv, "ROWS", 3):
            output.compare(CaseOutput(case), "read in small blocks")
    return output.end


class InvariantViolated(Exception):
    """An invariant that does not hold."""


@contextmanager
def _permanent(output: CaseOutput) -> Iterator[None]:
    try:
        yield
    except Permanent as error:
        output.end = error.code.name
        if not error.message:
            raise InvariantViolated("a Permanent without a message") from error


class CaseOutput:
    """What reading a file came to."""

    def __init__(self, case: Case) -> None:
        table, self.data, policy = case
        self.profile = Profile.model_validate(table)
        self.end = "accepted"
        self.ends = [match.start() for match in re.finditer(b"\n", self.data)]
        self.readings: list[tuple[object, ...]] = []
        self.refused: list[tuple[object, ...]] = []
        drift = Drift(new=("ignore", "rescue", "quarantine")[policy])  # type: ignore[arg-type]
        stream = io.BytesIO(self.data)
        with _permanent(self):
            scratch = tempfile.TemporaryFile
            for part in reading.read(stream, self.profile, PLACE, scratch, drift, RECEIVED):
                self._take(part)

    def _take(self, part: Accepted) -> None:
        batch = part.bronze
        batch.validate(full=True)
        nanos = batch["ts"].cast(pa.int64()).to_numpy()
        if any(batch[f.name].null_count for f in batch.schema if not f.nullable):
            raise InvariantViolated("a null where none may be")
        if not np.isfinite(batch["value"].to_numpy()).all():
            raise InvariantViolated("a value is not finite")
        if len(nanos) and (nanos.min() < EARLIEST or nanos.max() >= LATEST):
            raise InvariantViolated("a time is out of range")
        self._account(part)
        columns = [
            c.to_pylist() for n, c in zip(batch.schema.names, batch, strict=True) if n != "ts"
        ]
        self.readings += zip(nanos.tolist(), *columns, strict=True)

    def _account(self, part: Accepted) -> None:
        for reject in part.rejects:
            if not isinstance(reject.code, Code) or not reject.reason:
                raise InvariantViolated(f"a reject without code or reason: {reject}")
            if reject.byte_offset is not None:
                self._check_place(reject.line_no, reject.byte_offset)
        self.refused += [(r.line_no, r.code.name, r.byte_offset, r.raw) for r in part.rejects]
        if part.readings != len(part.bronze) + len(part.rejects):
            raise InvariantViolated("readings are not the accepted and the rejected")
        profile = self.profile
        plain = profile.value is not None and not profile.where and not profile.records
        total = part.readings + part.missing
        if plain and profile.format in ("csv", "xlsx", "jsonl", "parquet") and part.rows != total:
            raise InvariantViolated(
                f"{part.rows} rows are not {part.readings} readings, {part.missing} missing"
            )

    def _check_place(self, line: int | None, offset: int) -> None:
        """A reject's offset lies in its line, where the file is UTF-8 with newlines."""
        data = self.data
        if kind_of(data) or data.startswith(_WIDE_MARKS) or self.profile.encoding != "utf-8":
            return
        if not 0 <= offset <= len(data):
            raise InvariantViolated(f"a reject at byte {offset} of {len(data)}")
        if self.profile.format == "xml" and data.count(b"\r") != data.count(b"\r\n"):
            return  # a carriage return alone ends a line of XML
        if self.profile.format == "xml" and b"\0" in data[:4]:
            return  # UTF-16 without a mark, which a declaration tells
        if b"\n" in data[:BLOCK] and bisect_right(self.ends, offset - 1) + 1 != line:
            raise InvariantViolated(f"a reject at byte {offset}, which is not in line {line}")

    def _in_order(self) -> list[tuple[object, ...]]:
        """The readings in the file's order. Those of one line of JSON have none: its members are columns in
        the order in which a block has them."""
        if self.profile.format != "jsonl":
            return self.readings
        return [
            r for _, line in groupby(self.readings, itemgetter(1)) for r in sorted(line, key=repr)
        ]

    def compare(self, other: CaseOutput, how: str) -> None:
        # of two faults of a file, the one in an earlier block is found first
        both = "accepted" not in (self.end, other.end) and how.endswith("blocks")
        if self.end != other.end and not both:
            raise InvariantViolated(f"{how}: {self.end}, then {other.end}")
        if self.end != "accepted":
            return
        mine, theirs = self._in_order(), other._in_order()
        if repr(mine) != repr(theirs):
            pairs = zip(mine, theirs, strict=False)
            first = next((p for p in pairs if repr(p[0]) != repr(p[1])), None)
            sizes = len(mine), len(theirs)
            raise InvariantViolated(f"{how}: other readings; {sizes}, first {str(first)[:300]}")
        if sorted(self.refused, key=repr) != sorted(other.refused, key=repr):
            only = set(self.refused) ^ set(other.refused)
            raise InvariantViolated(
                f"{how}: other rejects; {str(sorted(only, key=repr)[:2])[:300]}"
            )
