"""The hooks that mkdocs calls while it builds the site, see mkdocs.yml."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SITE = ROOT / ".build" / "site"
sys.path.insert(0, str(ROOT / "tools"))

from mkdocs.structure.files import File  # noqa: E402

from manual import blocks, decisions, generated  # noqa: E402
from sensorflow import __version__  # noqa: E402

MARK = re.compile(r"<!-- generated: (\w+) -->")
NOTE = re.compile(r"<!-- only in the repository -->.*?<!-- end -->\n*", re.DOTALL)
"""Text that explains to readers of the repository why a table is missing."""


def on_config(config: Any) -> Any:
    """Build the site in a folder with the name of the version, and show the version in the header."""
    config.site_name = f"sensorflow {__version__}"
    config.site_dir = str(SITE / __version__)
    explanation = next(section["Explanation"] for section in config.nav if "Explanation" in section)
    listed = next(part["Design decisions"] for part in explanation if "Design decisions" in part)
    listed += [f"decisions/{file.name}" for file in decisions.files()]
    return config


def on_files(files: Any, config: Any) -> Any:
    for page, file in blocks.FROM_ROOT.items():
        text = (ROOT / file).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replace each mark in a page by the part that is generated from the code, and remove the notes."""
    text = MARK.sub(lambda found: generated.PARTS[found[1]](), NOTE.sub("", markdown))
    return text.replace("{{ version }}", __version__)
