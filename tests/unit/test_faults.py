"""Every fault that must be survived has a test, and every test that is named is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / "faults"))

from catalogue import ELSEWHERE, OPEN, STARRED  # noqa: E402
from guards import GUARDS, ROOT  # noqa: E402


def named_in(file: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))


def numbered() -> set[int]:
    """The faults in the names of tests: test_fault_03_…, test_faults_09_to_12_and_37_…"""
    found: set[int] = set()
    for file in (TESTS / "faults").glob("test_*.py"):
        for name in named_in(file):
            told = re.match(r"test_faults?_((?:\d\d_|to_|and_)+)", name)
            numbers = told[1].strip("_") if told else ""
            for low, high in re.findall(r"(\d\d)(?:_to_(\d\d))?", numbers):
                found.update(range(int(low), int(high or low) + 1))
    return found


def test_every_starred_fault_has_a_test_of_its_own() -> None:
    assert set(STARRED) - numbered() == set()


def test_every_fault_has_a_test_or_is_listed_as_open() -> None:
    assert set(range(1, 40)) - numbered() - set(ELSEWHERE) == OPEN


def test_every_starred_fault_has_a_guard_that_is_proved() -> None:
    assert set(STARRED) - {guard.fault for guard in GUARDS} == set()


def test_every_named_test_is_there() -> None:
    named = [f"tests/{name}" for names in ELSEWHERE.values() for name in names]
    for name in (*named, *(guard.test.partition("[")[0] for guard in GUARDS)):
        file, _, test = name.partition("::")
        assert test in named_in(ROOT / file), name


def test_every_guard_stands_where_it_is_said_to_stand() -> None:
    for guard in GUARDS:
        text = (ROOT / guard.file).read_text()
        assert [text.count(old) for old, _ in guard.edits] == [1] * len(guard.edits), guard
