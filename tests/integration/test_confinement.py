"""An attacker with a drop folder, or with a corner of ours: nothing leads out, and nothing stops us."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.tree import stat_of
from sensorflow.adapters.layers.local import LocalLayers
from sensorflow.adapters.local.places import below
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.stability import Stat
from sensorflow.errors import Transient
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import QuarantineZone
from sensorflow.ports.feed import Gone
from sensorflow.settings import FolderSource

DAY = date(2026, 1, 1)
SCHEMA = pa.schema([("x", pa.int64())])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "secret.csv"
    path.parent.mkdir()
    path.write_text("secret")
    return path


@pytest.fixture(params=["same disk", "another disk"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Where files are linked to, and where they must be copied to."""
    if request.param == "same disk":
        yield tmp_path / "archive"
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert os.stat(elsewhere).st_dev != os.stat(tmp_path).st_dev
        yield Path(elsewhere) / "archive"


def feed(tmp_path: Path, archive: Path, **source: Any) -> DropFolder:
    root = tmp_path / "drop"
    root.mkdir(exist_ok=True)
    rules = FolderSource.model_validate({"path": "drop", "profile": "p", **source})
    return DropFolder("plant", root, rules, archive)


def landed(f: DropFolder, key: bytes) -> Stat:
    with f.open(key) as stream:
        return stat_of(stream)


def files(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def put_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def put_folder(path: Path, secret: Path) -> None:
    path.mkdir()


def put_fifo(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def put_hard_link(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


PLANTED = [put_link, put_folder, put_fifo]
Plant = Callable[[Path, Path], None]


@pytest.mark.parametrize("plant", [*PLANTED, put_hard_link])
def test_what_is_swapped_in_while_a_file_is_put_away_is_neither_read_nor_removed(
    tmp_path: Path, archive: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    f = feed(tmp_path, archive)
    path = f.root / "a.csv"
    path.write_text("mine")
    stat, move = landed(f, b"a.csv"), os.rename

    def late(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(os, "rename", move)
        path.unlink()
        plant(path, secret)
        move(*arguments, **options)

    monkeypatch.setattr(os, "rename", late)
    f.dispose([(b"a.csv", stat)], DAY)
    assert "secret" not in files(archive).values()
    assert os.path.lexists(path)
    assert files(f.root) == ({"a.csv": "secret"} if plant is put_hard_link else {})
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("ours", [True, False])
def test_what_is_swapped_in_behind_our_back_in_a_hold_of_the_attackers(
    tmp_path: Path, archive: Path, secret: Path, plant: Plant, ours: bool
) -> None:
    """The file that was looked at is put away, or given back; not what has its name by then."""
    f = feed(tmp_path, archive)
    hold = f.root / ".sensorflow"
    hold.mkdir(mode=0o777)
    (hold / "a.csv").write_text("mine")

    def swap(_key: bytes, _stream: BinaryIO) -> bool:
        (hold / "a.csv").rename(hold / "gone")
        plant(hold / "a.csv", secret)
        return ours

    try:
        f.recover(swap, DAY)
    except Transient:
        assert plant is put_folder
    assert files(archive).get("a.csv") == ("mine" if ours else None)
    assert "secret" not in {**files(archive), **files(f.root)}.values()
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("plant", PLANTED)
def test_what_an_attacker_has_put_into_the_hold_does_not_stop_the_daemon(
    tmp_path: Path, archive: Path, secret: Path, plant: Plant
) -> None:
    f = feed(tmp_path, archive)
    hold = f.root / "a" / ".sensorflow"
    hold.mkdir(parents=True)
    plant(hold / "b.csv", secret)
    (f.root / "z" / ".sensorflow").mkdir(parents=True)
    (f.root / "z" / ".sensorflow" / "half.csv").write_text("mine")
    f.recover(lambda _key, _stream: True, DAY)
    assert files(archive) == {"half.csv": "mine"}


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_hold_that_is_no_folder_is_left_alone(
    tmp_path: Path, archive: Path, secret: Path, what: str
) -> None:
    f = feed(tmp_path, archive)
    hold = f.root / ".sensorflow"
    hold.symlink_to(secret.parent) if what == "link" else hold.write_text("")
    (f.root / "a.csv").write_text("mine")
    f.recover(lambda _key, _stream: True, DAY)
    assert list(f.dispose([(b"a.csv", landed(f, b"a.csv"))], DAY)) == [b"a.csv"]
    assert files(secret.parent) == {"secret.csv": "secret"}
    assert (f.root / "a.csv").read_text() == "mine"


def test_a_folder_that_becomes_a_link_between_two_steps_is_not_entered(
    tmp_path: Path, archive: Path, secret: Path
) -> None:
    f = feed(tmp_path, archive)
    (f.root / "deep").mkdir()
    (f.root / "deep" / "secret.csv").write_text("mine")
    [(key, _)] = list(f.scan())
    stat = landed(f, key)
    (f.root / "deep").rename(f.root / "aside")
    (f.root / "deep").symlink_to(secret.parent)
    with pytest.raises(Gone), f.open(key):
        pass
    with pytest.raises(Gone):
        f.stat(key)
    f.dispose([(key, stat)], DAY)
    assert secret.read_text() == "secret"
    assert files(archive) == {}


@pytest.mark.parametrize("plant", [put_link, put_fifo])
def test_what_is_swapped_in_between_look_and_open_is_not_opened(
    tmp_path: Path, archive: Path, secret: Path, plant: Plant
) -> None:
    f = feed(tmp_path, archive)
    (f.root / "a.csv").write_text("mine")
    [(key, _)] = list(f.scan())
    (f.root / "a.csv").unlink()
    plant(f.root / "a.csv", secret)
    with pytest.raises(Gone), f.open(key):
        pass
    assert list(f.scan()) == []


@pytest.mark.parametrize("step", [f"{DAY}", f"{DAY}/deep"])
def test_a_link_in_the_archive_leads_nowhere(tmp_path: Path, secret: Path, step: str) -> None:
    archive = tmp_path / "archive"
    f = feed(tmp_path, archive)
    (f.root / "deep").mkdir()
    (f.root / "deep" / "a.csv").write_text("mine")
    (archive / step).parent.mkdir(parents=True)
    (archive / step).symlink_to(secret.parent)
    [(key, reason)] = f.dispose([(b"deep/a.csv", landed(f, b"deep/a.csv"))], DAY).items()
    assert key == b"deep/a.csv"
    assert f"{DAY}/deep" in reason
    assert files(secret.parent) == {"secret.csv": "secret"}
    assert "mine" in files(f.root).values()


def test_a_name_in_the_archive_that_is_a_link_is_not_written_through(
    tmp_path: Path, archive: Path, secret: Path
) -> None:
    f = feed(tmp_path, archive)
    (archive / f"{DAY}").mkdir(parents=True)
    (archive / f"{DAY}" / "a.csv").symlink_to(secret)
    (f.root / "a.csv").write_text("mine")
    f.dispose([(b"a.csv", landed(f, b"a.csv"))], DAY)
    assert files(archive) == {"a~2.csv": "mine"}
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("step", ["p", "p/1-v1-1", "p/1-v1-1/file"])
def test_a_link_in_the_quarantine_leads_nowhere(tmp_path: Path, secret: Path, step: str) -> None:
    store = QuarantineZone(LocalObjects(tmp_path / "quarantine"))
    (tmp_path / "quarantine" / step).parent.mkdir(parents=True)
    (tmp_path / "quarantine" / step).symlink_to(secret.parent)
    with pytest.raises(Transient):
        store.put("p/1-v1-1", b"secret.csv", io.BytesIO(b"mine"), {})
    assert files(secret.parent) == {"secret.csv": "secret"}


def test_a_manifest_that_is_a_link_is_not_shown(tmp_path: Path, secret: Path) -> None:
    secret.write_text("{}")
    (tmp_path / "quarantine" / "p").mkdir(parents=True)
    (tmp_path / "quarantine" / "p" / "manifest.json").symlink_to(secret)
    with pytest.raises(Transient, match="Operation not permitted"):
        QuarantineZone(LocalObjects(tmp_path / "quarantine")).manifest("p")


def test_a_link_in_the_landing_zone_leads_nowhere(tmp_path: Path, secret: Path) -> None:
    store = Landing(LocalObjects(tmp_path / "landing"))
    name = store.put(io.BytesIO(b"mine")).name
    path = tmp_path / "landing" / name
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(Transient):
        store.open(name)
    store.put(io.BytesIO(b"mine"))  # takes the link's place
    assert (secret.read_text(), path.read_text()) == ("secret", "mine")
    assert not path.is_symlink()
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(secret.parent)
    with pytest.raises(Transient):
        store.put(io.BytesIO(b"mine"))
    assert files(secret.parent) == {"secret.csv": "secret"}


@pytest.mark.parametrize("plant", [put_fifo, put_folder])
def test_what_is_no_file_in_the_landing_zone_blocks_nobody(
    tmp_path: Path, secret: Path, plant: Plant
) -> None:
    store = Landing(LocalObjects(tmp_path / "landing"))
    name = store.put(io.BytesIO(b"mine")).name
    (tmp_path / "landing" / name).unlink()
    plant(tmp_path / "landing" / name, secret)
    with pytest.raises(Transient):
        store.open(name)


def test_a_layer_may_lie_on_another_disk_but_no_link_below_it_is_followed(
    tmp_path: Path, secret: Path
) -> None:
    lake = LocalLayers(tmp_path / "data")
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "silver").symlink_to(tmp_path / "disk")
    day = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = (LayerFile("plant", kind, day, 1, 1) for kind in ("a", "b"))
    with lake.writer(Layer.SILVER, first, SCHEMA) as writer:
        writer.write(pa.record_batch([[1]], schema=SCHEMA))
    assert sum(len(batch) for batch in lake.read(Layer.SILVER, first)) == 1
    assert [p.name for p in (tmp_path / "disk").rglob("*.parquet")] == ["file-1-v1.parquet"]
    outside = (tmp_path / "data" / lake.place(Layer.SILVER, second)).parent
    outside.symlink_to(secret.parent)
    (secret.parent / "file-1-v1.parquet").write_text("secret too")
    with pytest.raises(Transient), lake.writer(Layer.SILVER, second, SCHEMA):
        pass
    with pytest.raises(Transient):
        list(lake.read(Layer.SILVER, second))
    with pytest.raises(Transient):
        lake.count(Layer.SILVER, second)
    with pytest.raises(Transient):
        lake.delete(Layer.SILVER, second)
    lake.delete(Layer.SILVER, replace(first, sensor_type="c"))
    assert files(secret.parent) == {"secret.csv": "secret", "file-1-v1.parquet": "secret too"}


@pytest.mark.parametrize("relative", ["..", "a/../../b", "/etc"])
def test_no_path_climbs_out(tmp_path: Path, relative: str) -> None:
    with pytest.raises(OSError) as caught, below(tmp_path / "data", relative):  # noqa: PT011
        pass
    assert caught.value.errno == errno.ENOTDIR
