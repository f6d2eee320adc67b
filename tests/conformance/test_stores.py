"""The contracts of landing zone, lake and quarantine store, real and in memory."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.feeds.folder.tree import DEPTH, stat_of
from sensorflow.adapters.layers.local import LocalLake
from sensorflow.adapters.objects.local import LocalLanding
from sensorflow.adapters.objects.quarantine import LocalQuarantine
from sensorflow.errors import Code, Transient
from sensorflow.ports.feed import Busy, Gone, Permit
from sensorflow.ports.landing import Landing
from sensorflow.ports.layers import Lake, Unreadable
from sensorflow.ports.quarantine import QuarantineStore
from sensorflow.settings import FolderSource
from sensorflow.testing.layers import MemoryLake
from sensorflow.testing.objects import MemoryLanding, MemoryQuarantine

SCHEMA = pa.schema([("n", pa.int64())])
DAY = datetime(2026, 1, 1, tzinfo=UTC).date()


@pytest.fixture(params=["memory", "local"])
def landing(request: pytest.FixtureRequest, tmp_path: Path) -> Landing:
    return MemoryLanding() if request.param == "memory" else LocalLanding(tmp_path / "landing")


@pytest.fixture(params=["memory", "local"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return MemoryLake() if request.param == "memory" else LocalLake(tmp_path / "lake")


@pytest.fixture(params=["memory", "local"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> QuarantineStore:
    return MemoryQuarantine() if request.param == "memory" else LocalQuarantine(tmp_path / "kept")


def test_landed_bytes_can_be_read_and_are_named_by_their_hash(landing: Landing) -> None:
    one = landing.put(io.BytesIO(b"abc"))
    again = landing.put(io.BytesIO(b"abc"))
    assert one == again
    assert one.sha256.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert one.md5.hex() == "900150983cd24fb0d6963f7d28e17f72"
    assert (one.size, landing.open(one.name).read()) == (3, b"abc")


def test_a_group_is_there_when_it_is_settled_and_not_before(landing: Landing) -> None:
    with landing.group() as group:
        landed = [group.put(io.BytesIO(data)) for data in (b"abc", b"abd", b"abc")]
        assert not any(landing.has(one.name) for one in landed)
        group.settle()
        assert [landing.open(one.name).read() for one in landed] == [b"abc", b"abd", b"abc"]
    assert landing.unfinished(-1) == []


def test_nothing_is_left_of_a_group_that_was_not_settled(landing: Landing) -> None:
    with pytest.raises(RuntimeError), landing.group() as group:
        one = group.put(io.BytesIO(b"abc"))
        raise RuntimeError
    assert not landing.has(one.name)
    assert landing.unfinished(-1) == []


@pytest.mark.parametrize("name", ["aa/" + "a" * 64, "../../etc/passwd", "", "aa/../../x"])
def test_what_is_not_landed_cannot_be_opened(landing: Landing, name: str) -> None:
    with pytest.raises(Transient) as caught:
        landing.open(name)
    assert caught.value.code is Code.STORAGE


def test_a_file_of_the_lake_appears_whole_and_is_replaced(lake: Lake) -> None:
    for numbers in ([1, 2], [3]):
        with lake.writer("silver/x.parquet", SCHEMA) as writer:
            writer.write(pa.record_batch({"n": numbers}))
        assert [b["n"].to_pylist() for b in lake.read("silver/x.parquet")] == [numbers]


def test_files_written_together_appear_together(lake: Lake) -> None:
    batch = pa.RecordBatch.from_pydict({"n": [1, 2]}, schema=SCHEMA)
    with lake.together():
        for path in ("silver/a/1.parquet", "silver/a/2.parquet", "bronze/b/1.parquet"):
            with lake.writer(path, SCHEMA) as writer:
                writer.write(batch)
    assert sorted(lake.paths()) == [
        "bronze/b/1.parquet",
        "silver/a/1.parquet",
        "silver/a/2.parquet",
    ]
    assert list(lake.read("silver/a/2.parquet")) == [batch]


def test_of_files_written_together_one_that_fails_is_not_there(lake: Lake) -> None:
    with lake.together():
        with pytest.raises(ValueError, match="bad"), lake.writer("silver/a/1.parquet", SCHEMA):
            raise ValueError("bad")
        with lake.writer("silver/a/2.parquet", SCHEMA):
            pass
    assert list(lake.paths()) == ["silver/a/2.parquet"]


def test_of_files_written_together_none_is_there_when_the_whole_fails(lake: Lake) -> None:
    with pytest.raises(ValueError, match="bad"), lake.together():
        with lake.writer("silver/a/1.parquet", SCHEMA):
            pass
        raise ValueError("bad")
    with lake.writer("silver/a/2.parquet", SCHEMA):
        pass
    assert list(lake.paths()) == ["silver/a/2.parquet"]
    assert lake.unfinished(-1) == []


def test_a_file_of_the_lake_that_was_not_finished_is_not_there(lake: Lake) -> None:
    with pytest.raises(RuntimeError), lake.writer("silver/x.parquet", SCHEMA) as writer:
        writer.write(pa.record_batch({"n": [1]}))
        raise RuntimeError
    with pytest.raises(Transient):
        list(lake.read("silver/x.parquet"))


def test_removing_what_is_not_there_does_nothing(lake: Lake) -> None:
    with lake.writer("silver/x.parquet", SCHEMA):
        pass
    lake.remove("silver/x.parquet")
    lake.remove("silver/x.parquet")
    with pytest.raises(Transient):
        list(lake.read("silver/x.parquet"))


def test_a_quarantined_file_is_never_overwritten(kept: QuarantineStore) -> None:
    where = kept.put("plant/1-v1-1", b"a\xff.csv", io.BytesIO(b"abc"), {"n": 1})
    assert kept.put("plant/1-v1-1", b"a\xff.csv", io.BytesIO(b"abc"), {"n": 2}) == where
    assert kept.manifest(where) == {"n": 1}
    with pytest.raises(Transient):
        kept.manifest("plant/2-v1-1")


def test_the_size_of_what_is_landed_can_be_asked(landing: Landing) -> None:
    name = landing.put(io.BytesIO(b"abc")).name
    assert landing.size(name) == 3
    assert landing.size("aa/" + "a" * 64) is None
    assert landing.unfinished(0) == []


def test_files_of_the_lake_are_listed_with_their_rows(lake: Lake) -> None:
    for path in ("silver/a=1/x.parquet", "bronze/y.parquet"):
        with lake.writer(path, SCHEMA) as writer:
            writer.write(pa.record_batch({"n": [1, 2]}))
    assert sorted(lake.paths()) == ["bronze/y.parquet", "silver/a=1/x.parquet"]
    assert lake.rows("bronze/y.parquet") == 2
    assert lake.rows("silver/none.parquet") is None
    assert lake.unfinished(0) == []


def test_the_size_of_a_quarantined_file_can_be_asked(kept: QuarantineStore) -> None:
    where = kept.put("plant/1-v1-1", b"a\xff.csv", io.BytesIO(b"abc"), {"n": 1})
    assert kept.size(where) == 3
    assert kept.size("plant/2-v1-1") is None
    assert kept.unfinished(0) == []


def test_what_is_half_written_is_listed_and_no_file_of_the_lake(tmp_path: Path) -> None:
    lake, landing = LocalLake(tmp_path), LocalLanding(tmp_path / "landing")
    with lake.writer("silver/a/x.parquet", SCHEMA):
        landing.put(io.BytesIO(b"abc"))
        (tmp_path / "landing" / ".writing-abcdefgb").write_bytes(b"x")
        assert list(lake.paths()) == []
        assert [name.startswith("silver/a/.writing-") for name in lake.unfinished(-1)] == [True]
        assert lake.unfinished(60) == []
        assert landing.unfinished(-1) == [".writing-abcdefgb"]


def test_a_broken_file_of_the_lake_is_told_from_a_lake_that_is_away(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    with pytest.raises(Transient):
        list(lake.paths())
    with pytest.raises(Transient):
        lake.rows("silver/x.parquet")
    with lake.writer("silver/x.parquet", SCHEMA):
        pass
    (tmp_path / "lake/silver/x.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(Unreadable):
        lake.rows("silver/x.parquet")


@pytest.mark.parametrize("store", [LocalLanding, LocalQuarantine])
def test_a_store_that_is_away_is_not_taken_for_an_empty_one(tmp_path: Path, store: Any) -> None:
    with pytest.raises(Transient):
        store(tmp_path / "away").size("aa/" + "a" * 64)


def test_a_file_is_busy_while_it_is_written_changed_or_gone(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    path = feed.root / "a.csv"
    path.write_bytes(b"x")
    stat = feed.stat(b"a.csv")
    assert not feed.busy(b"a.csv", stat)
    with path.open("ab"):
        assert feed.busy(b"a.csv", stat)
    path.write_bytes(b"other")
    assert feed.busy(b"a.csv", stat)
    path.unlink()
    assert feed.busy(b"a.csv", stat)


def folder(tmp_path: Path, **source: Any) -> Folder:
    root = tmp_path / "drop"
    root.mkdir(exist_ok=True)
    rules = FolderSource.model_validate({"path": "drop", "profile": "p", **source})
    return Folder("plant", root, rules, tmp_path / "archive")


def put_away(feed: Folder, key: bytes) -> None:
    with feed.open(key) as stream:
        stat = stat_of(stream)
    feed.put_away([(key, stat)], DAY)


def test_nothing_outside_of_the_folder_is_opened(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    (tmp_path / "secret.csv").write_text("x")
    (feed.root / "link.csv").symlink_to(tmp_path / "secret.csv")
    (feed.root / "elsewhere").symlink_to(tmp_path)
    for key in (b"link.csv", b"../secret.csv", b"elsewhere/secret.csv", b"/etc/passwd", b"no.csv"):
        with pytest.raises((Gone, OSError)), feed.open(key):
            pass
    assert list(feed.scan()) == []


def test_an_open_file_is_told(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    with (feed.root / "a.csv").open("w") as writer:
        writer.write("x")
        writer.flush()
        with pytest.raises(Busy), feed.open(b"a.csv"):
            pass
    with feed.open(b"a.csv") as stream:
        assert stream.read() == b"x"


def test_an_archived_name_is_never_overwritten(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    long = b"n" * 251 + b".csv"
    for name in (b"a.csv", long, b"a." + b"b" * 249 + b".csv"):
        for content in ("one", "two", "three"):
            Path(os.fsdecode(os.path.join(os.fsencode(feed.root), name))).write_text(content)
            put_away(feed, name)
    archived = sorted(p.read_text() for p in (tmp_path / "archive").rglob("*") if p.is_file())
    assert archived == sorted(["one", "two", "three"] * 3)
    assert list(feed.root.iterdir()) == []


def test_a_file_that_changed_after_it_was_landed_stays(tmp_path: Path) -> None:
    feed = folder(tmp_path, after="delete")
    path = feed.root / "a.csv"
    path.write_text("one")
    with feed.open(b"a.csv") as stream:
        stat = stat_of(stream)
    path.write_text("other")
    feed.put_away([(b"a.csv", stat)], DAY)
    assert path.read_text() == "other"
    put_away(feed, b"a.csv")
    assert not path.exists()


def test_of_a_group_only_what_is_as_it_was_landed_is_put_away(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    names = (b"a.csv", b"deep/b.csv", b"changed.csv", b"gone.csv", b"deep/c.csv")
    (feed.root / "deep").mkdir()
    stats = []
    for name in names:
        (feed.root / name.decode()).write_bytes(name)
        stats.append((name, feed.stat(name)))
    (feed.root / "changed.csv").write_text("other")
    (feed.root / "gone.csv").unlink()
    assert feed.put_away(stats, DAY) == {}
    archived = {p.name for p in (tmp_path / "archive").rglob("*.csv")}
    assert archived == {"a.csv", "b.csv", "c.csv"}
    assert [p.name for p in feed.root.rglob("*")] in (
        ["deep", "changed.csv"],
        ["changed.csv", "deep"],
    )


def test_content_renamed_over_a_file_that_is_being_put_away_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = folder(tmp_path)
    path = feed.root / "a.csv"
    path.write_text("one")
    with feed.open(b"a.csv") as stream:
        stat = stat_of(stream)
    look = os.stat

    def late(*arguments: Any, **options: Any) -> os.stat_result:
        """A sender that is quick: it renames over the name just after we looked at it."""
        found = look(*arguments, **options)
        monkeypatch.setattr(os, "stat", look)
        (tmp_path / "new").write_text("two, later")
        (tmp_path / "new").rename(path)
        return found

    monkeypatch.setattr(os, "stat", late)
    feed.put_away([(b"a.csv", stat)], DAY)
    assert path.read_text() == "two, later"
    assert [key for key, _ in feed.scan()] == [b"a.csv"]


@pytest.mark.parametrize("registered", [True, False])
def test_what_a_killed_daemon_left_half_put_away_is_seen_to(
    tmp_path: Path, registered: bool
) -> None:
    feed = folder(tmp_path)
    hold = feed.root / "deep" / ".sensorflow"
    hold.mkdir(parents=True)
    (hold / "a.csv").write_text("one")
    asked = []

    def known(key: bytes, stream: BinaryIO) -> bool:
        asked.append((key, stream.read()))
        return registered

    feed.recover(known, datetime(2026, 1, 1, tzinfo=UTC).date())
    assert asked == [(b"deep/a.csv", b"one")]
    assert [key for key, _ in feed.scan()] == ([] if registered else [b"deep/a.csv"])
    assert len(list((tmp_path / "archive").rglob("a.csv"))) == registered
    assert not hold.exists()


def test_what_is_put_away_by_one_who_is_replaced_meanwhile_is_left_from_then_on(
    tmp_path: Path,
) -> None:
    """Each works in a hold of its own, and the next one sees to both."""
    feed = folder(tmp_path)
    stats = []
    for name in (b"a.csv", b"b.csv", b"c.csv"):
        (feed.root / name.decode()).write_text("x")
        stats.append((name, feed.stat(name)))
    answers, holds = iter((True, True, True, False)), []

    def allowed() -> bool:
        holds.append([p.name for p in feed.root.glob(".sensorflow*")])
        return next(answers)

    assert feed.put_away(stats, DAY, Permit(7, allowed)) == {}
    assert holds == [[], *[[".sensorflow-7"]] * 3]
    assert [p.name for p in feed.root.iterdir()] == ["c.csv"]
    (feed.root / ".sensorflow-8").mkdir()
    (feed.root / "c.csv").rename(feed.root / ".sensorflow-8" / "c.csv")
    assert feed.put_away(stats, DAY, Permit(9, lambda: False)) == {}
    feed.recover(lambda _key, _stream: True, DAY)
    assert list(feed.root.iterdir()) == []
    assert len(list((tmp_path / "archive").rglob("*.csv"))) == 3


def test_a_file_that_is_opened_again_for_more_is_not_put_away(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    path = feed.root / "a.csv"
    path.write_text("one")
    with feed.open(b"a.csv") as stream:
        stat = stat_of(stream)
    with path.open("a"):
        feed.put_away([(b"a.csv", stat)], DAY)
        assert path.read_text() == "one"


def test_folders_nested_without_end_are_looked_into_so_far_and_no_further(tmp_path: Path) -> None:
    feed = folder(tmp_path)
    (feed.root / "a.csv").write_text("x")
    for depth in (DEPTH, DEPTH + 1):
        deep = feed.root.joinpath(*["d"] * depth)
        deep.mkdir(parents=True)
        (deep / f"{depth}.csv").write_text("x")
    found = [key.rsplit(b"/", 1)[-1] for key, _ in feed.scan()]
    assert found == [b"a.csv", b"%d.csv" % DEPTH]


def test_a_full_disk_is_transient(tmp_path: Path) -> None:
    (tmp_path / "landing").write_text("a file where the folder should be")
    with pytest.raises(Transient) as caught:
        LocalLanding(tmp_path / "landing").put(io.BytesIO(b"x"))
    assert caught.value.code is Code.STORAGE


def test_what_a_killed_writer_left_is_not_taken_for_the_quarantined_file(tmp_path: Path) -> None:
    store = LocalQuarantine(tmp_path)

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            left = {p.name for p in (tmp_path / "plant/1-v1-1/file").iterdir()}
            assert left == set(), left
            return super().read(size)

    store.put("plant/1-v1-1", b"x.csv", Stream(b"abc"), {"a": 1})
    assert store.size("plant/1-v1-1") == 3
