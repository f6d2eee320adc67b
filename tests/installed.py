"""Packages of examples/, installed into a folder: by their pyproject.toml, without a network or a build."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def install(name: str, site: Path) -> Path:
    """What pip does with the wheel: modules, metadata and entry points. Returns the folder."""
    package = EXAMPLES / name
    told = tomllib.loads((package / "pyproject.toml").read_text())
    project = told["project"]
    known = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    known.mkdir(parents=True)
    for module in told["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copy(package / module, site)
    facts = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (known / "METADATA").write_text(facts)
    points = project["entry-points"].items()
    (known / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {what}\n" for name, what in entries.items())
            for group, entries in points
        )
    )
    return site
