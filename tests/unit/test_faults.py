"""Every fault that must be survived has a test, and every test that is named is there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / "faults"))

from catalogue import ELSEWHERE, OPEN, STARRED  # noqa: E402
from chaos.proof import PROOFS, Proof  # noqa: E402
from guards import GUARDS, ROOT, Guard  # noqa: E402
from patches import Patch, apply, patched  # noqa: E402


def named_in(file: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))


def numbered() -> set[int]:
    """The faults in the names of tests: test_fault_03_…, test_faults_09_to_12_and_37_…"""
    found: set[int] = set()
    for file in (TESTS / "faults").glob("test_*.py"):
        for name in named_in(file):
            match = re.match(r"test_faults?_((?:\d\d_|to_|and_)+)", name)
            numbers = match[1].strip("_") if match else ""
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


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.fault} {guard.where}")
def test_every_guard_is_where_it_is_said_to_be(guard: Guard) -> None:
    _compile(guard.patches)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_every_bug_can_be_planted(proof: Proof) -> None:
    _compile(proof.patches)


def _compile(patches: Iterable[Patch]) -> None:
    for file, text in patched(ROOT, patches).items():
        if file.suffix == ".py":
            compile(text, file.name, "exec")


SOURCE = """\
LIMIT = {
    "a": 1,
    "b": 2,
}


class Loop:
    def run(self, n: int) -> int:
        \"\"\"Runs.\"\"\"
        if n > 1 and (
            self.ready  # or not
        ):
            return start(
                n,
                2,
            )
        return 0


def run() -> None:
    stop(1)
"""


@pytest.mark.parametrize(
    ("name", "old", "new", "seen"),
    [
        (
            "Loop.run",
            "if n > 1 and (self.ready):",
            "if n:",
            "        if n:\n            return start(",
        ),
        (
            "Loop.run",
            "return start(n, 2)",
            "n += 1\nreturn n",
            "            n += 1\n            return n",
        ),
        ("Loop.run", "", "return 3", '"""Runs."""\n        return 3\n\n\ndef run()'),
        ("run", "", "pass", "def run() -> None:\n    pass\n"),
        ("LIMIT", '"b": 2', '"c": 3', '    "c": 3,\n}'),
        ("run", "stop(1)", "stop(\n    2\n)", "    stop(\n        2\n    )\n"),
    ],
)
def test_a_patch_names_a_function_and_not_its_layout(
    tmp_path: Path, name: str, old: str, new: str, seen: str
) -> None:
    (tmp_path / "loop.py").write_text(SOURCE)
    apply(tmp_path, [Patch(f"*.py::{name}", old, new)])
    assert seen in (tmp_path / "loop.py").read_text()


@pytest.mark.parametrize(
    "patch",
    [
        Patch("loop.py::Loop.run", "return n", "pass"),
        Patch("loop.py::Loop.run", "n", "m"),
        Patch("loop.py::Loop.stop", "", "pass"),
        Patch("other.py::run", "", "pass"),
        Patch("loop.py", "return", "pass"),
        Patch("loop.py", "return", "pass", least=3),
    ],
)
def test_a_patch_of_what_is_not_there_once_is_an_error(tmp_path: Path, patch: Patch) -> None:
    (tmp_path / "loop.py").write_text(SOURCE)
    with pytest.raises(AssertionError, match="times"):
        apply(tmp_path, [patch])


def test_a_patch_of_a_query_leaves_the_others(tmp_path: Path) -> None:
    text = "-- name: {}\nUPDATE files\n   SET a = 1 -- or 2\n WHERE id = :id;\n\n"
    file = tmp_path / "queries.sql"
    file.write_text(text.format("first") + text.format("second"))
    apply(tmp_path, [Patch("*.sql::second", "SET a = 1 WHERE id = :id", "SET a = 2")])
    assert (
        file.read_text()
        == text.format("first") + "-- name: second\nUPDATE files\n   SET a = 2;\n\n"
    )
