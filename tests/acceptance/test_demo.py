"""The demo with small files, on a fleet that runs: the same path, and the same proof."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fleet import fleet

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(DEMO)
    yield importlib.import_module("run")
    for name in ("run", "plant", "project"):
        sys.modules.pop(name, None)


def test_every_reading_of_the_demo_is_accounted_for(
    demo: ModuleType,
    project: Path,
    database: str,
    valkey_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo.project.make(project)
    with fleet(project, database, valkey_url, settings=demo.project.SETTINGS) as f:
        monkeypatch.chdir(project)
        for name in f.env.keys() - os.environ.keys():
            monkeypatch.setenv(name, f.env[name])
        f.start("daemon", "worker")
        ok, balance = demo.run(project, demo.Size(files=2, rows=100, large=400))
    assert ok, capsys.readouterr().out
    assert balance.startswith("balance: ")
