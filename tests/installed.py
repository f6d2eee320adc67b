"""sensorflow installed from its wheel; and packages of examples/, by their pyproject.toml, without a build.

Nothing is asked of a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def from_wheel(folder: Path) -> tuple[str, Path]:
    """Builds the wheel. Returns a Python that has sensorflow from it alone, beside the packages that are
    installed here, and where it has it."""
    dist, venv = folder / "dist", folder / "venv"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next((venv / "lib").glob("python*/site-packages"))
    unpack = f"import zipfile; zipfile.ZipFile({str(wheel)!r}).extractall({str(site)!r})"
    subprocess.run([sys.executable, "-c", unpack], check=True)
    others = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "others.pth").write_text(others + "\n")
    return str(venv / "bin" / "python"), site


def install(name: str, site: Path) -> Path:
    """What pip does with the wheel: modules, metadata and entry points. Returns the folder."""
    package = EXAMPLES / name
    metadata = tomllib.loads((package / "pyproject.toml").read_text())
    project = metadata["project"]
    known = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    known.mkdir(parents=True)
    for module in metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
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
