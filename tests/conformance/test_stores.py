"""The contract of the drop folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.tree import DEPTH, stat_of
from sensorflow.ports.feed import Busy, Gone, Permit
from sensorflow.settings import FolderSource

DAY = datetime(2026, 1, 1, tzinfo=UTC).date()


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


def folder(tmp_path: Path, **source: Any) -> DropFolder:
    root = tmp_path / "drop"
    root.mkdir(exist_ok=True)
    rules = FolderSource.model_validate({"path": "drop", "profile": "p", **source})
    return DropFolder("plant", root, rules, tmp_path / "archive")


def put_away(feed: DropFolder, key: bytes) -> None:
    with feed.open(key) as stream:
        stat = stat_of(stream)
    feed.dispose([(key, stat)], DAY)


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
    feed.dispose([(b"a.csv", stat)], DAY)
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
    assert feed.dispose(stats, DAY) == {}
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
    feed.dispose([(b"a.csv", stat)], DAY)
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

    assert feed.dispose(stats, DAY, Permit(7, allowed)) == {}
    assert holds == [[], *[[".sensorflow-7"]] * 3]
    assert [p.name for p in feed.root.iterdir()] == ["c.csv"]
    (feed.root / ".sensorflow-8").mkdir()
    (feed.root / "c.csv").rename(feed.root / ".sensorflow-8" / "c.csv")
    assert feed.dispose(stats, DAY, Permit(9, lambda: False)) == {}
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
        feed.dispose([(b"a.csv", stat)], DAY)
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
