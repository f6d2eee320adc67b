"""Requests to a store that is not on this host are sent in parallel."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from samples import add, quarantine_it

from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.flow import parallel
from sensorflow.flow.landing import Landing
from sensorflow.flow.parallel import REQUESTS, each
from sensorflow.flow.retention import apply_retention
from sensorflow.settings import Settings
from sensorflow.testing.layers import MemoryLayers
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects


def test_results_come_in_order_and_slow_requests_are_in_flight_together() -> None:
    together = threading.Barrier(REQUESTS)

    def ask(number: int) -> int:
        if number == 3:
            time.sleep(2 * parallel.SLOW_SECONDS)
        elif number > 3:
            together.wait(60)
        return -number

    count = 4 + 2 * REQUESTS
    assert list(each(ask, range(count))) == [(n, -n) for n in range(count)]


def test_an_error_of_a_request_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "SLOW_SECONDS", -1.0)

    def ask(number: int) -> int:
        if number == 20:
            raise ValueError(number)
        return number

    found = []
    with pytest.raises(ValueError, match="20"):
        for pair in each(ask, range(100)):
            found.append(pair)  # noqa: PERF402 - kept up to the error
    assert found == [(n, n) for n in range(20)]


class SlowLayers(MemoryLayers):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.deleted = self.at_once = self.most_at_once = 0

    def delete(self, layer: Layer, file: LayerFile) -> None:
        with self.lock:
            self.deleted, self.at_once = self.deleted + 1, self.at_once + 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        time.sleep(2 * parallel.SLOW_SECONDS)
        with self.lock:
            self.at_once -= 1


def test_retention_removes_all_garbage_by_a_bounded_number_of_requests(tmp_path: Path) -> None:
    ledger, lake, count = MemoryLedger(), SlowLayers(), 101
    for number in range(count):
        file_id = add(ledger, b"%d.csv" % number, number + 1)
        quarantine_it(ledger, file_id)
        ledger.mark_garbage(file_id)
    settings = Settings(home=tmp_path)
    apply_retention(ledger, lake, Landing(MemoryObjects()), settings)
    assert lake.deleted == count
    assert 1 < lake.most_at_once <= REQUESTS


class Counting(MemoryObjects):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def open(self, name: str) -> BinaryIO:
        self.opened.append(name)
        return super().open(name)


def test_small_objects_are_requested_once_however_often_they_are_opened() -> None:
    store = Counting()
    landing = Landing(store)
    names = [landing.put(io.BytesIO(bytes([n]) * 10)).name for n in range(3)]
    with landing.read_ahead([*names, "00/" + "0" * 64]) as ahead:
        for number, name in enumerate(names * 2):
            assert ahead.open(name).read() == bytes([number % 3]) * 10
    assert sorted(store.opened) == sorted([*names, "00/" + "0" * 64])


@pytest.mark.parametrize("listed", [0, 1000])
def test_sizes_of_many_objects(listed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorflow.flow.landing.LISTED", listed)
    landing = Landing(MemoryObjects())
    name = landing.put(io.BytesIO(b"abc")).name
    other = "00/" + "0" * 64
    assert landing.sizes([name, other]) == {name: 3, other: None}
    assert landing.missing([name, other]) == {other}
