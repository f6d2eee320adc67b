"""requirements/*.txt against pyproject.toml: what is installed is what the project asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "base": (),
    "buckets": ("s3", "gcs", "azure"),
    "embedded": ("embedded",),
    "demo": ("embedded", "demo"),
    "dev": ("embedded", "dev"),
    "bench": ("embedded", "dev", "bench"),
}


def locked(name: str) -> dict[str, set[str]]:
    """Package -> its versions; more than one where it differs by platform or Python."""
    found: dict[str, set[str]] = {}
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    for block in re.split(r"\n(?=\S)", text.replace("\\\n", " ")):
        requirement = Requirement(block.split(" --hash=")[0])
        (pin,) = requirement.specifier
        assert pin.operator == "==", block
        assert block.count("--hash=sha256:"), block
        found.setdefault(canonicalize_name(requirement.name), set()).add(pin.version)
    return found


@pytest.mark.parametrize("name", EXTRAS)
def test_each_requirement_is_locked_to_a_version_that_fits(name):
    versions = locked(name)
    asked = list(PROJECT["dependencies"])
    for extra in EXTRAS[name]:
        asked += PROJECT["optional-dependencies"][extra]
    for requirement in map(Requirement, asked):
        have = versions[canonicalize_name(requirement.name)]
        assert any(requirement.specifier.contains(v, prereleases=True) for v in have), requirement


def test_a_package_has_the_same_versions_in_every_file():
    versions = locked("bench") | locked("build")
    for name in ("base", "buckets", "embedded", "demo", "dev", "build"):
        assert {p: v for p, v in locked(name).items() if versions[p] != v} == {}


def test_locks_name_no_index():
    for path in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"://|--(extra-)?index|--find-links", path.read_text()), path
