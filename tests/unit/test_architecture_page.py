"""ARCHITECTURE.md and the glossary name only what exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from manual import commands

from sensorflow.adapters.postgres.schema import metadata
from sensorflow.core.events import FileEvent
from sensorflow.core.profile import Profile
from sensorflow.core.states import Stage, State
from sensorflow.settings import FolderSource, Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "ARCHITECTURE.md", ROOT / "docs" / "explanation" / "glossary.md"]
TOP = ("workers/", "migrations/", "tests/", "tools/", "docs/", "examples/", "benchmarks/")
AT_ROOT = {"CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "sensorflow.toml"}
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
OTHERS = {
    *("import sensorflow", "make lint", "published_at", "celery -A workers worker"),
    *("celery -A workers beat", "celery -A workers flower", "[sources.<name>]"),
    *("[profiles.<name>]", "MemoryError", "max_rejects", "sweep", "retain", "files show"),
    *("folder", "file", "source", "live", "backfill", "sensorflow/"),
}
"""Programs, values of settings and the like, which are no names of the code."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_on_the_page_exists(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([^`\n]+)`", in_full(text)))
    assert len(named) > 50
    assert sorted(name for name in named if not exists(name)) == []


@pytest.mark.parametrize(
    "name",
    [
        *("flow/lands.py", "flow/land.py:lands", "ports/claims.py:Claims.nacks", "cli/nothing/"),
        *("adapters/postgres/sql/claims.sql:claims", "ck_files_none", "sensorflow none"),
        *("tests/unit/test_none.py", "core/land.py:land", "landed"),
    ],
)
def test_a_name_that_does_not_exist_is_noticed(name: str) -> None:
    assert not exists(name)


def test_every_package_and_every_port_is_on_the_page() -> None:
    text = PAGES[0].read_text("utf-8")
    product = ROOT / "sensorflow"
    packages = {f.parent.name for f in product.glob("*/__init__.py")}
    assert sorted(name for name in packages if f"`{name}/" not in text) == []
    ports = {f"ports/{f.name}" for f in (product / "ports").glob("[a-z]*.py")}
    assert sorted(ports - {"ports/files.py"} - set(re.findall(r"ports/\w+\.py", text))) == []


COMPLETE = (
    *("core/formats", "core/times", "core/binding", "core/validation", "core/sniff"),
    *("flow", "flow/intake", "adapters", "engine", "embedded", "workers"),
)
"""Packages of which every module is on the page."""


@pytest.mark.parametrize("package", COMPLETE)
def test_every_module_of_a_package_is_on_the_page(package: str) -> None:
    folder = ROOT / package if package == "workers" else ROOT / "sensorflow" / package
    deep = folder.rglob("*.py") if package == "adapters" else folder.glob("*.py")
    existing = {f"{package}/{f.relative_to(folder)}" for f in deep if f.name != "__init__.py"}
    named = re.findall(r"`([^`\n:]+)", in_full(PAGES[0].read_text("utf-8")))
    assert existing
    assert sorted(name for name in existing - set(named) if "/schema/" not in name) == []


def in_full(text: str) -> str:
    """With the names of modules in a row that begins with a package in full."""
    rows = re.compile(r"^\| `([\w/]+/)` \|.*$", re.MULTILINE)
    return rows.sub(lambda row: re.sub(r"`((?:up/)?\w+\.py)`", rf"`{row[1]}\1`", row[0]), text)


def exists(name: str) -> bool:
    path, _, symbol = name.partition(":")
    if name in OTHERS or name in known():
        return True
    if name.startswith("sensorflow "):
        return any(leaf.startswith(name.removeprefix("sensorflow ")) for leaf in leaves())
    if not PATH.fullmatch(path):
        return False
    file = ROOT / path if path.startswith(TOP) or path in AT_ROOT else ROOT / "sensorflow" / path
    if not symbol:
        return ("/" in path and file.exists()) or file.is_file() or path in AT_ROOT
    return file.is_file() and symbol in symbols(file)


@cache
def known() -> frozenset[str]:
    """Tables, their columns and constraints; settings; states, stages and events."""
    tables = metadata.tables.values()
    models = (Settings, FolderSource, Profile)
    return frozenset(
        {
            *metadata.tables,
            *(column.name for table in tables for column in table.columns),
            *(str(rule.name) for table in tables for rule in table.constraints),
            *(key for model in models for key in model.model_fields),
            *map(str, (*State, *Stage, *FileEvent)),
        }
    )


@cache
def leaves() -> tuple[str, ...]:
    return tuple(name.removeprefix("sensorflow ") for name, _ in commands.leaves(commands.root()))


@cache
def symbols(file: Path) -> frozenset[str]:
    """Names at the top of a module, and `Class.method`; the statements of an SQL file."""
    text = file.read_text("utf-8")
    if file.suffix == ".sql":
        return frozenset(re.findall(r"^-- name: (\w+)$", text, re.MULTILINE))
    return frozenset(_symbols(ast.parse(text).body)) if file.suffix == ".py" else frozenset()


def _symbols(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _symbols(node.body, f"{node.name}.")
        if isinstance(node, ast.Assign):
            yield from (prefix + n.id for n in node.targets if isinstance(n, ast.Name))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield prefix + node.target.id
