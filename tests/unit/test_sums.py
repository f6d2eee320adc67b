"""The pure parts of an audit: keys made anew, sums in any order, rows as PostgreSQL sends them."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import batch

from sensorflow.adapters.postgres import copy_out
from sensorflow.core.checksum import checksum, marks
from sensorflow.core.findings import TODO, Fault, Kind
from sensorflow.core.keys import keys
from sensorflow.core.ordinals import TRIED_BEFORE_COUNTING, recomputed
from sensorflow.core.partitions import Layer, LayerFile, file_of, layer_path
from sensorflow.core.readings import READING, SILVER
from sensorflow.core.tally import Prints, Sums, Tally
from sensorflow.flow.audit import Level, Report, Subset


def with_column(rows: pa.RecordBatch, name: str, values: object) -> pa.RecordBatch:
    place = rows.schema.get_field_index(name)
    field = rows.schema.field(name)
    return rows.set_column(place, field, pa.array(values, field.type))


def test_every_fault_has_a_kind_and_a_remedy() -> None:
    assert set(TODO) == set(Fault)
    assert {fault.kind for fault in Fault} == set(Kind)
    assert len({str(fault).split()[0] for fault in Fault}) == len(Fault)


def test_a_name_for_each_row_makes_the_keys_that_one_for_all_makes() -> None:
    rows = with_column(batch(4), "ordinal", [0, 2, 0, 1])
    names = ["p/ä.csv", "p/b.csv", "p/ä.csv", "p/c\0v2"]
    expected = [keys(rows.slice(n, 1), name)[0].as_py() for n, name in enumerate(names)]
    assert keys(rows, pa.array(names)).to_pylist() == expected
    assert keys(rows, pa.array(names).dictionary_encode()).to_pylist() == expected


def test_times_before_1970_are_cut_toward_the_past_in_keys_as_in_the_database() -> None:
    kind = SILVER.field("ts").type
    rows = batch(2)
    place = rows.schema.get_field_index("ts")
    fine = rows.set_column(place, SILVER.field("ts"), pa.array([-1, -1001], pa.int64()).cast(kind))
    cut = rows.set_column(
        place, SILVER.field("ts"), pa.array([-1000, -2000], pa.int64()).cast(kind)
    )
    assert keys(fine, "f") == keys(cut, "f")


def stored(rows: pa.RecordBatch) -> pa.RecordBatch:
    """As an audit reads it of the database: without ordinals."""
    return rows.drop_columns(["ordinal"])


def test_ordinals_are_found_again_from_keys_alone() -> None:
    count = TRIED_BEFORE_COUNTING + 5  # of one identity: more than are tried without asking
    one = batch(1)
    rows = pa.Table.from_batches([one] * count).combine_chunks().to_batches()[0]
    rows = with_column(rows, "ordinal", range(count))
    rows = with_column(rows, "value", [float(n) for n in range(count)])
    names = pa.array(["f"] * count)
    dedupe_keys = keys(rows, "f")
    asked: list[int] = []

    def sharing(left: pa.RecordBatch) -> list[int]:
        asked.append(len(left))
        return [count] * len(left)

    recomputed_keys, ordinal, mismatched = recomputed(stored(rows), names, dedupe_keys, sharing)
    assert recomputed_keys == dedupe_keys
    assert ordinal.tolist() == list(range(count))
    assert not mismatched.any()
    assert asked == [1]  # once for each identity


def test_a_key_that_fits_no_occurrence_is_strange() -> None:
    rows = batch(3)
    dedupe_keys = keys(rows, "f").to_pylist()
    dedupe_keys[1] = bytes(16)
    recomputed_keys, ordinal, mismatched = recomputed(
        stored(rows),
        pa.array(["f"] * 3),
        pa.array(dedupe_keys, pa.binary(16)),
        lambda left: [1] * len(left),
    )
    assert mismatched.tolist() == [False, True, False]
    assert ordinal.tolist() == [0, 0, 0]
    assert recomputed_keys == keys(rows, "f")


@given(st.lists(st.integers(0, 3), max_size=30), st.randoms())
def test_sums_of_files_do_not_depend_on_the_order_of_rows(files: list[int], draw: object) -> None:
    rows = batch(max(len(files), 1)).slice(0, len(files))
    dedupe_keys = keys(rows, "f")
    prints = Prints().of(rows, rows["ordinal"].to_numpy())
    order = np.array(sorted(range(len(files)), key=lambda _: draw.random()), np.int64)  # type: ignore[attr-defined]
    half = len(order) // 2
    tally = Tally(4)
    for part in (order[:half], order[half:]):
        number = np.array(files, np.int64)[part]
        odd = number == 2
        tally.add(number, marks(dedupe_keys, rows["value"])[part], prints[part], odd)
    for file in range(4):
        mine = pa.array([n == file for n in files], pa.bool_())
        own = rows.filter(mine)
        columns = int(np.add.reduce(Prints().of(own, own["ordinal"].to_numpy()), initial=0))
        expected = checksum(dedupe_keys.filter(mine), own["value"])
        count = len(own)
        assert tally.of(file) == Sums(count, expected, columns, count if file == 2 else 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sensor_id", "S"),
        ("reading_type", "t"),
        ("unit", "K"),
        ("value", np.nextafter(1.5, 2)),
        ("quality", 1),
        ("line_no", 9),
        ("ordinal", 1),
    ],
)
def test_a_print_shows_a_change_in_any_column(name: str, value: object) -> None:
    rows = batch(1)
    other = with_column(rows, name, [value])
    before = Prints().of(rows, rows["ordinal"].to_numpy())
    assert before != Prints().of(other, other["ordinal"].to_numpy())


ROW = struct.Struct(">hiqiqihidiqi16s")
TEXT = ("ä", "", "x" * 300)


def sent(number: int, texts: tuple[str, ...], ts: int) -> bytes:
    """A row as the documentation of COPY has it: field count, then each with its length."""
    head = ROW.pack(9, 8, number, 8, -number, 2, -7, 8, -0.0, 8, ts, 16, bytes(range(16)))
    return head + b"".join(struct.pack(">i", len(t.encode())) + t.encode() for t in texts)


def test_rows_come_out_of_a_binary_copy_bit_by_bit() -> None:
    start = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 3) + b"ext"
    rows = [sent(1, TEXT, 0), sent(2, ("a", "b", "c"), -1), sent(3, TEXT[::-1], 2**63 - 1)]
    found = list(copy_out.batches([start + rows[0], *rows[1:], struct.pack(">h", -1)]))
    assert len(found) == 1
    assert found[0].schema == READING
    assert found[0]["file_id"].to_pylist() == [1, 2, 3]
    assert found[0]["line_no"].to_pylist() == [-1, -2, -3]
    assert found[0]["quality"].to_pylist() == [-7] * 3
    assert np.signbit(found[0]["value"].to_numpy()).all()
    assert found[0]["dedupe_key"].to_pylist() == [bytes(range(16))] * 3
    texts = [found[0][name].to_pylist() for name in ("sensor_id", "reading_type", "unit")]
    assert list(zip(*texts, strict=True)) == [TEXT, ("a", "b", "c"), TEXT[::-1]]
    assert found[0]["ts"][0].as_py() == datetime(2000, 1, 1, tzinfo=UTC)
    assert (
        found[0]["ts"].cast(pa.int64())[2].as_py() == 2**63 - 1
    )  # infinity stays the last of times


def test_an_empty_copy_has_no_rows() -> None:
    start = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    assert list(copy_out.batches([start, struct.pack(">h", -1)])) == []
    assert list(copy_out.batches([start + struct.pack(">h", -1)])) == []


def test_the_file_of_a_lake_path_is_known_and_of_no_other() -> None:
    for layer in Layer:
        place = layer_path(
            layer, LayerFile("plant", "long", datetime(2026, 1, 1, tzinfo=UTC), 42, 3)
        )
        assert file_of(place) == (layer, 42, 3)
    for other in ("silver/x.parquet", "gold/file-1-v1.parquet", "file-1-v1.parquet", "", "silver"):
        assert file_of(other) is None


def test_parts_of_a_subset_have_every_file_once() -> None:
    for parts in (1, 3, 7):
        parts_per_size = [
            sum(Subset(n, parts).includes(i) for n in range(1, parts + 1)) for i in range(50)
        ]
        assert parts_per_size == [1] * 50


def test_what_was_not_looked_at_outweighs_what_was_found() -> None:
    report = Report(Level.DEFAULT, datetime.now(UTC))
    assert (report.exit_code, report.verdict) == (
        0,
        "audit: 0 files, 0 readings: every one accounted for",
    )
    report.not_checked.append("silver: away")
    assert report.exit_code == 2
    assert "could not finish" in report.verdict
