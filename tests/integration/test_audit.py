"""Every corruption is found, by its kind, at the level that promises it; what is sound never is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from yard import Yard, content

LEVELS = ("--fast", "", "--checksum", "--deep")


@pytest.fixture
def yard(project: Path, database: str) -> Iterator[Yard]:
    made = Yard(project, database)
    yield made
    made.close()


def options(level: str) -> list[str]:
    return [level] if level else []


@pytest.mark.parametrize("level", LEVELS[:2])
def test_a_sound_project_is_clean(yard: Yard, level: str) -> None:
    for number in range(3):
        yard.load(f"{number}.csv", content(number))
    yard.quarantine()
    told = yard.audit(*options(level))
    assert (told.code, told.faults, told.report["files"]) == (0, [], 4)
    assert told.report["rows"] == 60
    assert "accounted for" in told.report["verdict"]
