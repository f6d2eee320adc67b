"""The contract of `ports.layers.Layers`, on every adapter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from sensorflow.adapters.layers.local import LocalLayers
from sensorflow.adapters.layers.objects import ObjectLayers
from sensorflow.adapters.layers.previous import PreviousLayers
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.errors import Code, Transient
from sensorflow.ports.layers import Layers, Stored
from sensorflow.testing.layers import MemoryLayers
from sensorflow.testing.objects import MemoryObjects

SCHEMA = pa.schema([("n", pa.int64())])
FIRST, SECOND, THIRD = (
    LayerFile("plant", "long", datetime(2026, 1, day, tzinfo=UTC), day, 1) for day in (1, 2, 3)
)


@pytest.fixture(params=["memory", "local", "objects", "moved on disk", "moved to objects"])
def layers(request: pytest.FixtureRequest, tmp_path: Path) -> Layers:
    if request.param == "memory":
        return MemoryLayers()
    if request.param == "objects":
        return ObjectLayers(MemoryObjects())
    if request.param == "moved on disk":
        for folder in (lakes := [tmp_path / "new", tmp_path / "old"]):
            folder.mkdir()
        return PreviousLayers(*(LocalLayers(folder, may_lack_layers=True) for folder in lakes))
    if request.param == "moved to objects":
        previous = LocalLayers(tmp_path, may_lack_layers=True)
        return PreviousLayers(ObjectLayers(MemoryObjects()), previous)
    return LocalLayers(tmp_path / "lake")


def write(layers: Layers, layer: Layer, file: LayerFile, numbers: Iterable[int] = (1, 2)) -> None:
    with layers.writer(layer, file, SCHEMA) as writer:
        writer.write(pa.RecordBatch.from_pydict({"n": list(numbers)}, schema=SCHEMA))


def numbers(layers: Layers, layer: Layer, file: LayerFile) -> list[int]:
    return [n for batch in layers.read(layer, file) for n in batch["n"].to_pylist()]


def everything(layers: Layers) -> list[tuple[Layer, int]]:
    found = [stored for stored in layers.stored() if isinstance(stored, Stored)]
    return sorted((stored.layer, stored.file_id) for stored in found)


def test_a_part_of_a_layer_appears_whole_and_is_replaced(layers: Layers) -> None:
    for rows in ([1, 2], [3]):
        with layers.writer(Layer.SILVER, FIRST, SCHEMA) as writer:
            for row in rows:
                writer.write(pa.record_batch({"n": [row]}))
            before = [] if rows == [1, 2] else [1, 2]
            assert (layers.count(Layer.SILVER, FIRST) or 0) == len(before)
        assert numbers(layers, Layer.SILVER, FIRST) == rows


def test_each_layer_and_each_file_has_its_own(layers: Layers) -> None:
    versions = (FIRST, LayerFile(*("plant", "long", FIRST.received_at, 1, 2)))
    for number, (layer, file) in enumerate((la, f) for la in Layer for f in (*versions, SECOND)):
        write(layers, layer, file, [number])
    found = [numbers(layers, la, f) for la in Layer for f in (*versions, SECOND)]
    assert found == [[number] for number in range(9)]


def test_what_is_written_in_a_batch_appears_when_it_ends(layers: Layers) -> None:
    with layers.batch() as batch:
        write(batch, Layer.SILVER, FIRST)
        write(batch, Layer.SILVER, SECOND)
        write(batch, Layer.BRONZE, FIRST)
        assert layers.count(Layer.SILVER, FIRST) is None
    assert everything(layers) == [(Layer.BRONZE, 1), (Layer.SILVER, 1), (Layer.SILVER, 2)]
    assert numbers(layers, Layer.SILVER, SECOND) == [1, 2]


def test_of_a_batch_what_fails_is_not_there(layers: Layers) -> None:
    with layers.batch() as batch:
        with pytest.raises(ValueError, match="bad"), batch.writer(Layer.SILVER, FIRST, SCHEMA):
            raise ValueError("bad")
        write(batch, Layer.SILVER, SECOND)
    assert everything(layers) == [(Layer.SILVER, 2)]


def test_of_a_batch_nothing_is_there_when_the_whole_fails(layers: Layers) -> None:
    with pytest.raises(ValueError, match="bad"), layers.batch() as batch:
        write(batch, Layer.SILVER, FIRST)
        raise ValueError("bad")
    write(layers, Layer.SILVER, SECOND)
    assert everything(layers) == [(Layer.SILVER, 2)]
    assert layers.list_unfinished(-1) == []


def test_what_is_written_beside_a_batch_appears_at_once(layers: Layers) -> None:
    with pytest.raises(ValueError, match="bad"), layers.batch() as batch:
        write(batch, Layer.SILVER, FIRST)
        write(layers, Layer.SILVER, SECOND)
        assert numbers(layers, Layer.SILVER, SECOND) == [1, 2]
        raise ValueError("bad")
    assert everything(layers) == [(Layer.SILVER, 2)]


def test_what_was_not_finished_is_not_there(layers: Layers) -> None:
    with (
        pytest.raises(RuntimeError),
        layers.writer(Layer.SILVER, FIRST, SCHEMA) as writer,
    ):
        writer.write(pa.record_batch({"n": [1]}))
        raise RuntimeError
    assert layers.list_unfinished(-1) == []
    with pytest.raises(Transient) as caught:
        numbers(layers, Layer.SILVER, FIRST)
    assert caught.value.code is Code.STORAGE


def test_that_there_is_nothing_can_be_told_from_other_faults(layers: Layers) -> None:
    write(layers, Layer.SILVER, FIRST)
    with pytest.raises(Transient) as caught:
        numbers(layers, Layer.SILVER, SECOND)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_deleting_is_idempotent(layers: Layers) -> None:
    write(layers, Layer.SILVER, FIRST)
    write(layers, Layer.BRONZE, FIRST)
    for _ in range(2):
        layers.delete(Layer.SILVER, FIRST)
    assert everything(layers) == [(Layer.BRONZE, 1)]


def test_rows_are_counted(layers: Layers) -> None:
    write(layers, Layer.BRONZE, FIRST)
    write(layers, Layer.SILVER, FIRST, [])
    with layers.writer(Layer.REJECTS, FIRST, SCHEMA):
        pass
    assert [layers.count(layer, FIRST) for layer in Layer] == [2, 0, 0]
    assert layers.count(Layer.SILVER, SECOND) is None


def test_what_is_stored_is_listed_with_its_place(layers: Layers) -> None:
    for file in (FIRST, SECOND):
        write(layers, Layer.SILVER, file)
    found = {s.file_id: s for s in layers.stored() if isinstance(s, Stored)}
    for file in (FIRST, SECOND):
        place = layers.place(Layer.SILVER, file)
        assert found.pop(file.file_id) == Stored(Layer.SILVER, file.file_id, 1, place)
        assert layers.stored_at(place) == Stored(Layer.SILVER, file.file_id, 1, place)
    assert found == {}
    assert layers.stored_at("anywhere else") is None


def test_what_is_stored_can_be_discarded_by_its_place(layers: Layers) -> None:
    write(layers, Layer.SILVER, FIRST)
    write(layers, Layer.BRONZE, FIRST)
    stored = layers.stored_at(layers.place(Layer.SILVER, FIRST))
    assert stored is not None
    for _ in range(2):
        layers.discard(stored)
    assert everything(layers) == [(Layer.BRONZE, 1)]


def test_nothing_is_unfinished_where_nobody_was_killed(layers: Layers) -> None:
    for layer in Layer:
        assert layers.created_at(layer) is None
    write(layers, Layer.SILVER, FIRST)
    assert layers.list_unfinished(-1) == []
    assert layers.remove_unfinished(-1) == 0
    assert numbers(layers, Layer.SILVER, FIRST) == [1, 2]
