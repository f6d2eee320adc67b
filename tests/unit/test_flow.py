"""The flow on in-memory adapters: every outcome is written down, whatever happens."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from samples import chained, received

from sensorflow.adapters.feeds.folder.feed import OpenFile
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.stability import Stat
from sensorflow.core.states import Stage, State
from sensorflow.core.touched import Touched
from sensorflow.errors import Code, Transient
from sensorflow.flow.file_task import FileTask, Services
from sensorflow.flow.land import land
from sensorflow.flow.landing import Landing
from sensorflow.flow.outcomes import Outcome, Result
from sensorflow.flow.prefetch import prefetch
from sensorflow.flow.process import process
from sensorflow.flow.publish import publish
from sensorflow.flow.quarantine_zone import QuarantineZone
from sensorflow.flow.reconcile import reconcile
from sensorflow.flow.register import Found, register
from sensorflow.ports.claims import Claim
from sensorflow.ports.intake import Kind, Registration
from sensorflow.ports.queue import Task
from sensorflow.settings import Limits, Settings
from sensorflow.testing.layers import MemoryLayers
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects
from sensorflow.testing.queue import MemoryQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(10**9, 100, 8)
HEAD = b"time,sensor,type,value,unit\n"
LONG = {
    "format": "csv",
    "time": "time",
    "sensor": "sensor",
    "type": "type",
    "value": "value",
    "unit": "unit",
}


def content(rows: int, value: str = "1.5") -> bytes:
    lines = (f"2026-01-01T00:00:{n:02}Z,s,temperature,{value},degC\n".encode() for n in range(rows))
    return HEAD + b"".join(lines)


@contextlib.contextmanager
def keep(_claims: Sequence[Claim]) -> Iterator[None]:
    yield


class InMemoryPipeline:
    """One world in memory, with a clock that the test moves. grouped: small files share messages.
    ledger: if it is to be another one, with a time of its own."""

    def __init__(self, grouped: bool = False, ledger: Any = None, **source: Any) -> None:
        self.now = NOW
        self.ledger: MemoryLedger = ledger or MemoryLedger(lambda: self.now)
        self.queue = MemoryQueue()
        self.settings = Settings.model_validate(
            {
                "sources": {"plant": {"path": "drop", "profile": "long", **source}},
                "profiles": {"long": LONG},
                "group_small_files": grouped,
                "home": Path("/nowhere"),
            }
        )
        self.landed = MemoryObjects()
        self.services = Services(
            ledger=self.ledger,
            landing=Landing(self.landed),
            lake=MemoryLayers(),
            quarantine=QuarantineZone(MemoryObjects()),
            settings=self.settings,
            owner="me",
        )
        self._inode = 0

    def drop(self, data: bytes, key: bytes = b"a.csv") -> Registration:
        self._inode += 1
        stat = Stat(1, self._inode, len(data), 0, 0)
        landed = land(
            self.services.landing, OpenFile("plant", key, io.BytesIO(data), lambda _: stat)
        )
        assert landed is not None
        return register(self.ledger, self.settings, Found(landed[1], landed[0], NOW, NOW))

    def work(self, inline: bool = True) -> list[Result]:
        """Publish what is due, and handle every message as a worker does."""
        self.publish(inline)
        results = []
        for message in received(self.queue):
            for task in chained(message):
                results += process(self.services, task, keep)
        return results

    def publish(self, inline: bool = True) -> None:
        limits = Limits(10**9 if inline else 0, 100, 8, self.settings.group_small_files)
        publish(self.ledger, self.queue, limits)

    def state(self, file_id: int) -> State:
        view = self.ledger.file(file_id)
        assert view is not None
        return view.state

    def silver_rows(self, claim_of: int) -> int:
        (view,) = [v for v in self.ledger.files() if v.file_id == claim_of]
        place = f"silver/ingest_date=2026-01-01/sensor_type=long/file-{claim_of}-v{view.version}.parquet"
        assert self.services.lake.place(Layer.SILVER, view.layer_file) == place
        return sum(len(b) for b in self.services.lake.read(Layer.SILVER, view.layer_file))


def test_a_small_file_is_loaded_in_one_task() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(5))
    (result,) = pipeline.work()
    assert result.outcome is Outcome.LOADED
    assert "read=5 loaded=5 rejected=0 duplicates=0" in result.text
    assert pipeline.silver_rows(file.file_id) == len(pipeline.ledger.rows) == 5


def test_a_chain_leaves_the_same_rows_and_counts_as_one_task() -> None:
    single, chain = InMemoryPipeline(), InMemoryPipeline()
    data = content(5) + b"2026-01-01T00:00:00Z,s,temperature,1.5,degC\n"
    for plant, inline in ((single, True), (chain, False)):
        plant.drop(data)
        plant.work(inline)
    assert single.ledger.rows == chain.ledger.rows
    assert [v.counts for v in single.ledger.files()] == [v.counts for v in chain.ledger.files()]


def test_the_same_message_five_times_has_one_effect() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(5))
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    outcomes = [process(pipeline.services, Task([file.file_id]), keep)[0].outcome for _ in range(5)]
    assert outcomes == [Outcome.LOADED] + [Outcome.NOTHING_TO_DO] * 4


def test_repeats_in_a_file_are_duplicates_or_readings_of_their_own() -> None:
    pipeline = InMemoryPipeline()
    same = b"2026-01-01T00:00:00Z,s,temperature,1.5,degC\n"
    other = b"2026-01-01T00:00:00Z,s,temperature,2.5,degC\n"
    pipeline.drop(HEAD + same + same + other + same + other)
    (result,) = pipeline.work()
    assert "read=5 loaded=2 rejected=0 duplicates=3" in result.text


def test_a_file_of_too_many_rejects_goes_to_quarantine_whole() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(8) + content(2, "x").removeprefix(HEAD))
    assert [r.outcome for r in pipeline.work()] == [Outcome.DEAD_LETTERED]
    assert [r.outcome for r in pipeline.work()] == [Outcome.QUARANTINED]
    (view,) = pipeline.ledger.files(State.QUARANTINED)
    assert (view.counts.read, view.counts.rejected, view.counts.loaded) == (10, 2, 0)
    manifest = pipeline.services.quarantine.manifest(view.quarantined_to)
    assert manifest["error"]["code"] == Code.TOO_MANY_REJECTS
    assert [r["line_no"] for r in manifest["error"]["first_rejects"]] == [10, 11]
    assert manifest["replay"] == f"sensorflow quarantine replay {file.file_id}"
    assert pipeline.ledger.rows == {}


def test_kept_versions_stand_side_by_side() -> None:
    pipeline = InMemoryPipeline(on_change="keep")
    pipeline.drop(content(5))
    pipeline.drop(content(4, "9.5"))
    pipeline.work()
    assert len(pipeline.ledger.rows) == 9


def test_a_refused_version_is_quarantined() -> None:
    pipeline = InMemoryPipeline(on_change="reject")
    pipeline.drop(content(5))
    pipeline.drop(content(4, "9.5"))
    assert {r.outcome for r in pipeline.work()} == {Outcome.LOADED, Outcome.QUARANTINED}
    assert len(pipeline.ledger.rows) == 5


def test_overlapping_windows_of_one_source_are_loaded_once() -> None:
    pipeline = InMemoryPipeline(dedupe_scope="source", on_change="keep")
    pipeline.drop(content(5), b"morning.csv")
    pipeline.drop(content(8), b"noon.csv")
    texts = [r.text for r in pipeline.work()]
    assert "loaded=5 rejected=0 duplicates=0" in texts[0]
    assert "loaded=3 rejected=0 duplicates=5" in texts[1]


def test_a_file_that_ends_its_worker_three_times_is_quarantined() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(5))
    for _ in range(3):  # claimed, and then nothing: the worker is gone
        assert pipeline.ledger.claim(file.file_id, (Stage.VALIDATE,), "gone", 30) is not None
        pipeline.now += timedelta(seconds=31)
        assert reconcile(pipeline.ledger, pipeline.queue, 5, 0, LIMITS)[0].expired == 1
    outcomes = [r.outcome for r in pipeline.work() + pipeline.work()]
    done = [
        o for o in outcomes if o is not Outcome.NOTHING_TO_DO
    ]  # the lost messages came after all
    assert done == [Outcome.DEAD_LETTERED, Outcome.QUARANTINED]
    (view,) = pipeline.ledger.files(State.QUARANTINED)
    assert view.error_code == Code.CRASHED


class BrokenLake(MemoryLayers):
    """A lake that is away."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def writer(self, layer: Layer, file: LayerFile, schema: Any) -> Any:
        if self.error is not None:
            raise self.error
        return super().writer(layer, file, schema)


def with_lake(pipeline: InMemoryPipeline, lake: MemoryLayers) -> None:
    pipeline.services = Services(**{**pipeline.services.__dict__, "lake": lake})


def test_faults_of_the_infrastructure_burn_no_attempt() -> None:
    pipeline = InMemoryPipeline()
    lake = BrokenLake(Transient(Code.STORAGE, "disk full"))
    with_lake(pipeline, lake)
    file = pipeline.drop(content(5))
    for _ in range(10):
        assert [r.outcome for r in pipeline.work()] == [Outcome.RETRY]
        pipeline.now += timedelta(seconds=120)
    view = pipeline.ledger.file(file.file_id)
    assert view is not None
    assert view.attempts == 0
    lake.error = None
    assert [r.outcome for r in pipeline.work()] == [Outcome.LOADED]


def test_retries_wait_longer_each_time() -> None:
    pipeline = InMemoryPipeline()
    with_lake(pipeline, BrokenLake(Transient(Code.STORAGE, "disk full")))
    pipeline.drop(content(5))
    delays = []
    for _ in range(6):
        delays += [r.delay for r in pipeline.work()]
        pipeline.now += timedelta(seconds=120)
    assert delays[-1] > 8 * delays[0]


def test_a_retry_waits_for_its_time() -> None:
    pipeline = InMemoryPipeline()
    with_lake(pipeline, BrokenLake(Transient(Code.STORAGE, "away")))
    pipeline.drop(content(5))
    (result,) = pipeline.work()
    assert 0.5 <= result.delay <= 1.0
    assert pipeline.work() == []
    pipeline.now += timedelta(seconds=result.delay)
    assert len(pipeline.work()) == 1


def test_a_defect_is_tried_three_times_and_then_quarantined() -> None:
    pipeline = InMemoryPipeline()
    with_lake(pipeline, BrokenLake(ZeroDivisionError("oh")))
    file = pipeline.drop(content(5))
    outcomes = []
    for _ in range(3):
        outcomes += [r.outcome for r in pipeline.work()]
        pipeline.now += timedelta(seconds=120)
    assert outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.DEAD_LETTERED]
    view = pipeline.ledger.file(file.file_id)
    assert view is not None
    assert view.error_code == Code.UNEXPECTED
    assert "ZeroDivisionError" in view.error_detail


def attempts(pipeline: InMemoryPipeline, file: Registration) -> int:
    view = pipeline.ledger.file(file.file_id)
    assert view is not None
    return view.attempts


def names(number: int) -> bytes:
    return b"%d.csv" % number


def test_small_files_of_one_message_have_each_its_own_outcome() -> None:
    pipeline = InMemoryPipeline(grouped=True, max_rejects="10%")
    files = [pipeline.drop(content(n + 1), names(n)) for n in range(12)]
    broken = pipeline.drop(b"no header of ours\n1,2\n", b"broken.csv")
    spoilt = pipeline.drop(content(3, "x"), b"spoilt.csv")
    later = [pipeline.drop(content(n + 1, "2.5"), names(n)) for n in range(20, 34)]
    results = pipeline.work()
    assert {pipeline.state(f.file_id) for f in (*files, *later)} == {State.LOADED}
    for number, file in enumerate(files):
        view = pipeline.ledger.file(file.file_id)
        assert view is not None
        assert (view.counts.read, view.counts.loaded) == (number + 1, number + 1)
        assert pipeline.silver_rows(file.file_id) == number + 1
        assert [e.what for e in pipeline.ledger.history(file.file_id)].count("loaded") == 1
    together = [
        [e.why for e in pipeline.ledger.history(f.file_id) if e.what == "claimed"]
        for f in (*files, broken, spoilt, *later)
    ]
    assert together == [  # 28 files in four messages
        [f"together with file {files[0].file_id + 7 * (n // 7)}" if n % 7 else None]
        for n in range(28)
    ]
    assert results[0].text.startswith("loaded 0.csv: read=1 loaded=1")
    assert sum(r.outcome is Outcome.LOADED for r in results) == 26
    pipeline.work()
    assert {pipeline.state(f.file_id) for f in (broken, spoilt)} == {State.QUARANTINED}


def test_files_of_one_message_leave_the_rows_and_keys_that_each_leaves_alone() -> None:
    together_, alone = InMemoryPipeline(grouped=True), InMemoryPipeline()
    for number in range(9):
        for plant in (together_, alone):
            plant.drop(content(number % 3 + 1, f"{number}.5"), names(number))
            if plant is alone:
                plant.work()
    together_.work()
    assert together_.ledger.rows == alone.ledger.rows
    assert [v.counts for v in together_.ledger.files()] == [v.counts for v in alone.ledger.files()]
    reasons = {e.why for n in range(1, 10) for e in together_.ledger.history(n)}
    assert "together with file 1" in reasons


def sent(pipeline: InMemoryPipeline) -> list[list[str]]:
    """The names of the files of each message that is published now."""
    pipeline.publish()
    return [
        [waiting.key.decode() for waiting in message.files] for message in received(pipeline.queue)
    ]


def test_small_new_files_go_a_few_in_a_message_and_all_others_alone() -> None:
    pipeline = InMemoryPipeline(grouped=True)
    pipeline.drop(content(1), b"0.csv")
    assert sent(pipeline) == [["0.csv"]]
    for number in range(1, 9):
        pipeline.drop(content(number + 1), names(number))
    pipeline.drop(content(20), b"1.csv")  # a new version
    pipeline.drop(content(20_000), b"large.csv")
    assert sorted(sent(pipeline)) == [
        *(["1.csv"], ["1.csv", "2.csv"], ["3.csv", "4.csv"], ["5.csv", "6.csv"]),
        *(["7.csv", "8.csv"], ["large.csv"]),
    ]


def test_a_file_that_was_held_before_is_published_alone() -> None:
    pipeline = InMemoryPipeline(grouped=True)
    files = [pipeline.drop(content(n + 1), names(n)) for n in range(8)]
    assert [len(message) for message in sent(pipeline)] == [2, 2, 2, 2]
    ids = [file.file_id for file in files]
    for claim in pipeline.ledger.claim_many(ids, (Stage.VALIDATE,), "me", 30).claims:
        pipeline.ledger.nack(claim, Transient(Code.STORAGE, "away"), 0, counts_as_attempt=False)
    assert sent(pipeline) == [[f"{number}.csv"] for number in range(8)]


def test_a_message_has_only_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorflow.flow.publish.BATCH_BYTES", len(content(4)) * 2)
    pipeline = InMemoryPipeline(grouped=True)
    for number in range(20):
        pipeline.drop(content(4, str(number)), names(number))
    assert max(map(len, sent(pipeline))) <= 2


def test_a_batch_made_ahead_is_given_up_when_the_load_fails() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    with contextlib.closing(prefetch(source())) as items:
        assert next(items) == 0
    assert closed == [True]
    with pytest.raises(ZeroDivisionError):
        list(prefetch(1 // n for n in (1, 0)))
    assert list(prefetch(range(7))) == list(range(7))


class BatchCountingLedger(MemoryLedger):
    """Counts the files that are committed with others."""

    files = 0

    def load_batch(self, files: Any) -> list[Touched] | None:
        self.files += len(files)
        return super().load_batch(files)


@pytest.mark.parametrize(("scope", "together"), [("source", 0), ("file", 9)])
def test_keys_of_a_whole_source_are_never_loaded_together(scope: str, together: int) -> None:
    """Two files may hold the same reading, and each counts its own."""
    pipeline = InMemoryPipeline(grouped=True, dedupe_scope=scope, on_change="keep")
    pipeline.ledger = BatchCountingLedger(lambda: pipeline.now)
    pipeline.services = replace(pipeline.services, ledger=pipeline.ledger)
    files = [pipeline.drop(content(n + 1), names(n)) for n in range(9)]
    pipeline.work()
    counts = [view.counts for view in map(pipeline.ledger.file, [f.file_id for f in files]) if view]
    own = scope == "file"
    expected = [(n + 1, 0) if own else (1, n) for n in range(9)]
    assert [(c.loaded, c.duplicate) for c in counts] == expected
    assert pipeline.ledger.files == together


def test_a_lease_lost_while_working_commits_nothing() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(5))

    @contextlib.contextmanager
    def stolen(_claims: Sequence[Claim]) -> Iterator[None]:
        pipeline.now += timedelta(seconds=60)
        assert pipeline.ledger.claim(file.file_id, (Stage.VALIDATE,), "thief", 30) is not None
        yield

    [result] = process(pipeline.services, Task([file.file_id]), stolen)
    assert result.outcome is Outcome.FENCED
    assert pipeline.ledger.rows == {}


def test_changed_bytes_in_the_landing_zone_are_never_loaded() -> None:
    pipeline = InMemoryPipeline()
    pipeline.drop(content(5))
    for name in pipeline.landed.contents:
        pipeline.landed.contents[name] = content(4)
    assert [r.outcome for r in pipeline.work()] == [Outcome.DEAD_LETTERED]
    assert pipeline.ledger.files()[0].error_code == Code.BYTES_CHANGED


def test_a_file_that_changes_while_it_is_read_is_not_landed() -> None:
    stats = iter([Stat(1, 1, 4, 0, 0), Stat(1, 1, 5, 1, 1)])
    opened = OpenFile("plant", b"a.csv", io.BytesIO(b"abcd"), lambda _: next(stats))
    assert land(Landing(MemoryObjects()), opened) is None


def test_a_lost_message_is_published_again_by_the_sweeper() -> None:
    pipeline = InMemoryPipeline()
    pipeline.drop(content(5))
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    assert len(list(received(pipeline.queue))) == 1  # and lost
    pipeline.now += timedelta(seconds=10)
    swept, published = reconcile(pipeline.ledger, pipeline.queue, 5, 0, LIMITS)
    assert (swept.stale, published) == (1, 1)
    assert [r.outcome for r in pipeline.work()] == [Outcome.LOADED]


def test_the_source_that_a_file_came_from_may_be_gone() -> None:
    pipeline = InMemoryPipeline()
    pipeline.drop(content(5))
    del pipeline.settings.sources["plant"]
    outcomes = [r.outcome for r in pipeline.work() + pipeline.work()]
    assert outcomes == [Outcome.DEAD_LETTERED, Outcome.QUARANTINED]
    (view,) = pipeline.ledger.files(State.QUARANTINED)
    assert view.error_code == Code.SOURCE_UNKNOWN


def test_aliases_and_versions_are_told_apart() -> None:
    pipeline = InMemoryPipeline()
    kinds = [
        pipeline.drop(content(5)).kind,
        pipeline.drop(content(5)).kind,
        pipeline.drop(content(6)).kind,
        pipeline.drop(content(5), b"b.csv").kind,
    ]
    assert kinds == [Kind.NEW, Kind.ALIAS, Kind.NEW, Kind.ALIAS]


def test_paths_of_layers_hold_no_part_of_a_files_name() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(1), b"../../x';DROP.csv")
    claim = pipeline.ledger.claim(file.file_id, (Stage.VALIDATE,), "me", 30)
    assert claim is not None
    for layer in Layer:
        assert ".." not in pipeline.services.lake.place(
            layer, FileTask(pipeline.services, claim).layer_file
        )


@pytest.mark.parametrize("inline", [True, False])
def test_what_drifted_stands_in_the_history_and_what_is_rescued_in_bronze(inline: bool) -> None:
    pipeline = InMemoryPipeline(drift="rescue")
    rows = content(2).replace(b"unit\n", b"unit,battery\n").replace(b"degC\n", b"degC,3.3\n")
    file = pipeline.drop(rows)
    pipeline.work(inline)
    assert pipeline.state(file.file_id) is State.LOADED
    notes = [e.why for e in pipeline.ledger.history(file.file_id) if e.why]
    assert notes == ["drift: new column 'battery'"]
    view = pipeline.ledger.file(file.file_id)
    assert view is not None
    place = f"bronze/source=plant/ingest_date=2026-01-01/file-{file.file_id}-v1.parquet"
    assert pipeline.services.lake.place(Layer.BRONZE, view.layer_file) == place
    (batch,) = pipeline.services.lake.read(Layer.BRONZE, view.layer_file)
    assert batch["rescued"].to_pylist() == ['{"battery": "3.3"}'] * 2


def test_a_drifted_file_is_quarantined_where_the_source_says_so() -> None:
    pipeline = InMemoryPipeline(drift={"new": "quarantine"})
    file = pipeline.drop(
        content(2).replace(b"unit\n", b"unit,battery\n").replace(b"C\n", b"C,3.3\n")
    )
    pipeline.work()
    pipeline.work()
    assert pipeline.state(file.file_id) is State.QUARANTINED
    (view,) = pipeline.ledger.files(State.QUARANTINED)
    assert view.error_code == Code.DRIFT


def test_a_file_that_takes_too_long_is_given_up() -> None:
    pipeline = InMemoryPipeline()
    profile = pipeline.settings.profiles["long"].model_copy(update={"max_seconds": 0.0})
    pipeline.settings.profiles["long"] = profile
    file = pipeline.drop(content(2))
    pipeline.work()
    pipeline.work()
    assert pipeline.state(file.file_id) is State.QUARANTINED
    (view,) = pipeline.ledger.files(State.QUARANTINED)
    assert view.error_code == Code.TOO_SLOW


def test_a_file_that_uses_up_its_memory_is_quarantined_whatever_was_refused_last() -> None:
    pipeline = InMemoryPipeline()
    with_lake(pipeline, BrokenLake(OSError(errno.ENOMEM, "Cannot allocate memory")))
    pipeline.drop(content(1))
    outcomes = []
    for _ in range(3):
        outcomes += [r.outcome for r in pipeline.work()]
        pipeline.now += timedelta(hours=1)
    assert outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.DEAD_LETTERED]
    (view,) = pipeline.ledger.files()
    assert view.error_code == Code.OUT_OF_MEMORY
