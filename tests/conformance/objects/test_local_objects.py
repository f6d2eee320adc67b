"""What objects on a local disk promise beyond their port."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.errors import Code, Transient
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import FILES, QuarantineZone

HASH = "aa/" + "a" * 64


def test_what_is_half_written_is_unfinished_and_no_object(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("a/b", io.BytesIO(b"x"))
    (tmp_path / ".writing-abcdefgb").write_bytes(b"x")
    (tmp_path / "a" / ".writing-abcdefgb").write_bytes(b"x")
    assert [found.name for found in objects.list()] == ["a/b"]
    assert objects.list_unfinished(60) == []
    assert objects.list_unfinished(-1) == [".writing-abcdefgb", "a/.writing-abcdefgb"]
    assert objects.remove_unfinished(60) == 0
    assert objects.remove_unfinished(-1) == 2
    assert objects.list_unfinished(-1) == []
    assert [found.name for found in objects.list()] == ["a/b"]


def test_a_folder_that_goes_while_objects_are_listed_hides_no_other(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    for folder in "abc":
        objects.put(f"{folder}/x", io.BytesIO(b"x"))
    listed = objects.list()
    first = next(listed).name
    gone, left = {"a/x", "b/x", "c/x"} - {first}
    shutil.rmtree(tmp_path / gone[0])
    assert [found.name for found in listed] == [left]


def test_a_store_that_is_away_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "away", FILES)
    for look in (
        lambda: objects.head("a"),
        lambda: list(objects.list()),
        lambda: Landing(objects).size(HASH),
        lambda: QuarantineZone(objects).size(HASH),
    ):
        with pytest.raises(Transient) as caught:
            look()
        assert caught.value.code is Code.STORAGE


def test_a_store_that_had_to_be_made_tells_since_when_it_is_there(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "zone")
    assert objects.created_at() is None
    objects.put("a", io.BytesIO(b"x"))
    assert objects.created_at() is not None
    assert [found.name for found in objects.list()] == ["a"]


def test_what_is_no_regular_file_is_no_object(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "zone")
    objects.put("a/b", io.BytesIO(b"x"))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "zone" / "link").symlink_to(tmp_path / "outside" / "secret")
    (tmp_path / "zone" / "folder").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "zone" / "fifo")
    assert [found.name for found in objects.list()] == ["a/b"]
    assert list(objects.list("folder/")) == []
    for name in ("link", "fifo"):
        assert objects.head(name) is None
    for name in ("link", "fifo", "folder/secret", "a"):
        with pytest.raises(Transient):
            objects.open(name)
    for change in (
        lambda: objects.put("folder/new", io.BytesIO(b"x")),
        lambda: objects.delete("folder/secret"),
    ):
        with pytest.raises(Transient):
            change()
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    objects = LocalObjects(tmp_path / "zone")
    objects.put("a/b", io.BytesIO(b"x"))
    for use in (
        lambda: objects.open(name),
        lambda: objects.head(name),
        lambda: list(objects.list(name)),
        lambda: objects.put(name, io.BytesIO(b"x")),
        lambda: objects.copy("a/b", name),
        lambda: objects.delete(name),
    ):
        with pytest.raises(Transient) as caught:
            use()
        assert caught.value.code is Code.STORAGE
    assert (tmp_path / "outside").read_bytes() == b"secret"
    assert objects.list_unfinished(-1) == []


def test_new_objects_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    LocalObjects(tmp_path).put("a/b", io.BytesIO(b"x"))
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o600


def test_a_source_is_read_once_though_its_name_comes_late(tmp_path: Path) -> None:
    class Once(io.BytesIO):
        def seek(self, *_: int) -> int:
            raise AssertionError("read again")

    assert LocalObjects(tmp_path).put(lambda: "late", Once(b"abc")) == "late"


def test_a_batch_opens_and_syncs_each_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, opened, synced = LocalObjects(tmp_path), list[Any](), list[int]()
    objects.put("a/x", io.BytesIO(b"x"))
    open_, sync = os.open, os.fsync

    def opening(path: Any, *arguments: Any, **options: Any) -> int:
        opened.append(path)
        return open_(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), sync(fd)))
    with objects.batch() as batch:
        for number in range(5):
            batch.put(f"a/{number}", io.BytesIO(b"x"))
        assert synced == []
    assert len(synced) == 6
    assert opened.count("a") == 1


def test_a_full_disk_is_transient(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("a file where the folder should be")
    with pytest.raises(Transient) as caught:
        LocalObjects(tmp_path / "landing").put("a", io.BytesIO(b"x"))
    assert caught.value.code is Code.STORAGE


def test_what_a_killed_writer_left_is_not_taken_for_the_quarantined_file(tmp_path: Path) -> None:
    zone = QuarantineZone(LocalObjects(tmp_path, FILES))

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            left = {p.name for p in (tmp_path / "plant/1-v1-1/file").glob("*")}
            assert left == set(), left
            assert zone.size("plant/1-v1-1") is None
            return super().read(size)

    zone.put("plant/1-v1-1", b"x.csv", Stream(b"abc"), {"a": 1})
    assert zone.size("plant/1-v1-1") == 3


def test_a_file_may_have_any_name_in_the_quarantine(tmp_path: Path) -> None:
    zone = QuarantineZone(LocalObjects(tmp_path, FILES))
    for number, name in enumerate((b".writing-abcdefgh", b".began", b"manifest.json", b"\xff")):
        where = f"plant/{number}-v1-1"
        zone.put(where, name, io.BytesIO(b"abc"), {"n": number})
        assert os.listdir(os.fsencode(tmp_path / where / "file")) == [name]
        assert (zone.size(where), zone.manifest(where)) == (3, {"n": number})
    assert zone.remove_unfinished(-1) == 0
