"""Who knows the stores: bootstrap wires them, adapters alone know where a layer's files lie."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORES = ("sensorflow.adapters.objects", "sensorflow.adapters.layers")
WIRING = ("sensorflow/bootstrap.py", "sensorflow/stores.py", "sensorflow/adapters/")


@cache
def modules() -> dict[str, ast.Module]:
    """Path -> syntax tree of all modules."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
        for package in ("sensorflow", "workers")
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imported(module: ast.Module) -> set[str]:
    """What a module imports, wherever in it: modules, and names with their modules."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def names(module: ast.Module) -> set[str]:
    named = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    return named | {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}


def users(*prefixes: str) -> set[str]:
    """Modules that import anything of these packages."""
    starts = tuple(f"{prefix}." for prefix in prefixes)
    return {
        path
        for path, module in modules().items()
        if any(f"{name}.".startswith(starts) for name in imported(module))
    }


def test_only_bootstrap_names_an_adapter_of_a_store() -> None:
    assert "sensorflow/stores.py" in users(*STORES)
    assert {path for path in users(*STORES) if not path.startswith(WIRING)} == set()


def test_paths_of_layers_are_made_in_adapters_alone() -> None:
    knowing = {path for path, module in modules().items() if "layer_path" in names(module)}
    assert "sensorflow/adapters/layers/local.py" in knowing
    homes = ("sensorflow/adapters/", "sensorflow/testing/", "sensorflow/core/partitions.py")
    assert {path for path in knowing if not path.startswith(homes)} == set()


def test_no_part_of_the_product_needs_what_is_for_tests() -> None:
    own = "sensorflow/testing/"
    assert {path for path in users("sensorflow.testing") if not path.startswith(own)} == set()


@pytest.mark.parametrize(
    "path", ["sensorflow/flow/landing.py", "sensorflow/flow/quarantine_zone.py"]
)
def test_zones_are_made_of_objects_alone(path: str) -> None:
    """No disk: what they keep may be in a bucket."""
    assert not imported(modules()[path]) & {"os", "pathlib.Path", "shutil", "tempfile"}
