"""The docs name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from sensorflow.core.findings import Fault
from sensorflow.core.profile import Profile
from sensorflow.errors import Code
from sensorflow.settings import FolderSource, Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_error_code_is_explained() -> None:
    text = (DOCS / "reference" / "errors.md").read_text()
    assert [c for c in Code if f"`{c.split()[0]}` {c.split()[1]}" not in text] == []


def test_every_finding_of_an_audit_is_explained() -> None:
    text = (DOCS / "reference" / "audit.md").read_text()
    assert [f for f in Fault if f"`{f.split()[0]}` {f.split()[1]}" not in text] == []


def test_every_setting_is_explained() -> None:
    text = (DOCS / "reference" / "settings.md").read_text()
    keys = {*Settings.model_fields, *FolderSource.model_fields} - {
        "home",
        "sources",
        "profiles",
        "profile_files",
    }
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_the_authors_guide_shows_the_examples_as_they_are() -> None:
    shown = re.findall(r"```python\n(.*?)```", (DOCS / "how-to" / "adapters.md").read_text(), re.DOTALL)
    there = [file.read_text() for file in sorted((DOCS.parent / "examples").rglob("*.py"))]
    assert sorted(shown) == sorted(there)


def test_every_key_of_a_profile_is_explained() -> None:
    text = (DOCS / "reference" / "profile.md").read_text()
    assert [key for key in Profile.model_fields if f"`{key}`" not in text] == []
