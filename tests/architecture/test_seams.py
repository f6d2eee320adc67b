"""Which names may stand where: what import-linter cannot say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM = {"os", "stat", "fcntl", "pathlib", "shutil", "glob", "tempfile"}
ABOVE_FEEDS = [
    *sorted((ROOT / "sensorflow/flow/intake").glob("*.py")),
    *(ROOT / "sensorflow/flow" / name for name in ("land.py", "register.py", "backfill.py")),
    ROOT / "sensorflow/daemon.py",
    ROOT / "sensorflow/ports/feed.py",
]
CALLS = {"fstat", "fileno", "open"}
"""What a file of the operating system is asked by, or found."""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(tree: ast.AST) -> Iterator[str]:
    """Functions by their bare names, and `fstat` and `fileno` of anything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr != "open":
            yield node.attr


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ABOVE_FEEDS, ids=ids)
def test_above_a_feed_there_is_no_file_system(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert {name.partition(".")[0] for name in imported(tree)} & SYSTEM == set()
    assert set(called(tree)) & CALLS == set()


def above_adapters() -> list[Path]:
    found = [
        file
        for name in ("flow", "cli", "api")
        for file in (ROOT / "sensorflow" / name).rglob("*.py")
    ]
    return [*sorted(found), ROOT / "sensorflow/daemon.py"]


@pytest.mark.parametrize("path", above_adapters(), ids=ids)
def test_no_feed_is_named_but_where_it_is_wired(path: Path) -> None:
    names = set(imported(ast.parse(path.read_text())))
    assert [n for n in sorted(names) if n.startswith("sensorflow.adapters.feeds")] == []


@pytest.mark.parametrize("path", above_adapters(), ids=ids)
def test_no_broker_is_named_but_where_it_is_wired(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {*imported(tree), *called(tree)}
    queues = ("sensorflow.adapters.queues", "celery", "kombu", "billiard")
    assert [n for n in sorted(imported(tree)) if n.startswith(queues)] == []
    assert [n for n in sorted(names) if n.rpartition(".")[2].startswith("Celery")] == []
