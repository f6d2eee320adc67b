"""What the layers on a local disk promise beyond their port."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from sensorflow.adapters.layers.local import LocalLayers
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.errors import Transient
from sensorflow.ports.layers import Stored, Unreadable

SCHEMA = pa.schema([("n", pa.int64())])
FILE = LayerFile("plant", "long", datetime(2026, 1, 1, tzinfo=UTC), 1, 1)
SILVER = "silver/ingest_date=2026-01-01/sensor_type=long"


def test_what_is_half_written_is_listed_and_no_file_of_the_lake(tmp_path: Path) -> None:
    layers = LocalLayers(tmp_path)
    with layers.writer(Layer.SILVER, FILE, SCHEMA):
        assert list(layers.stored()) == []
        [name] = layers.list_unfinished(-1)
        assert name.startswith(f"{SILVER}/.writing-")
        assert layers.list_unfinished(60) == []
    (tmp_path / SILVER / ".writing-abcdefgh").write_bytes(b"x")
    assert layers.remove_unfinished(60) == 0
    assert layers.remove_unfinished(-1) == 1
    assert os.listdir(tmp_path / SILVER) == ["file-1-v1.parquet"]


def test_a_broken_file_of_the_lake_is_told_from_a_lake_that_is_away(tmp_path: Path) -> None:
    layers = LocalLayers(tmp_path / "lake")
    with pytest.raises(Transient):
        list(layers.stored())
    with pytest.raises(Transient):
        layers.count(Layer.SILVER, FILE)
    with layers.writer(Layer.SILVER, FILE, SCHEMA):
        pass
    (tmp_path / "lake" / layers.place(Layer.SILVER, FILE)).write_bytes(b"no parquet at all")
    with pytest.raises(Unreadable):
        layers.count(Layer.SILVER, FILE)


def test_files_of_others_are_told_as_their_paths_and_ours_wherever_they_lie(
    tmp_path: Path,
) -> None:
    layers = LocalLayers(tmp_path)
    with layers.writer(Layer.SILVER, FILE, SCHEMA):
        pass
    astray = tmp_path / "silver" / "elsewhere"
    astray.mkdir()
    (astray / "file-7-v2.parquet").write_bytes(b"x")
    (astray / "notes.parquet").write_bytes(b"x")
    stray = Stored(Layer.SILVER, 7, 2, "silver/elsewhere/file-7-v2.parquet")
    place = f"{SILVER}/file-1-v1.parquet"
    found = list(layers.stored())
    assert len(found) == 3
    assert stray in found
    assert "silver/elsewhere/notes.parquet" in found
    assert Stored(Layer.SILVER, 1, 1, place) in found
    layers.discard(stray)
    assert os.listdir(astray) == ["notes.parquet"]


def test_a_batch_syncs_each_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, synced = LocalLayers(tmp_path), []
    with layers.writer(Layer.SILVER, FILE, SCHEMA):
        pass
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), sync(fd)))
    with layers.batch() as batch:
        for number in range(5):
            file = LayerFile("plant", "long", FILE.received_at, number, 1)
            with batch.writer(Layer.SILVER, file, SCHEMA):
                pass
        assert synced == []
    assert len(synced) == 6
