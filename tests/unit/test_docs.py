"""The docs name what there is, and each of their examples is of a kind that is checked."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manual import blocks, commands, decisions, events, settings, tables
from manual.blocks import Block

from sensorflow import bootstrap, profiles
from sensorflow.core.findings import Fault
from sensorflow.core.profile import Profile
from sensorflow.core.profile.time import Time
from sensorflow.core.times.durations import seconds
from sensorflow.errors import Code
from sensorflow.settings import FolderSource, Settings
from sensorflow.settings.retention import Retention
from sensorflow.settings.storage import Storage

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = blocks.pages()
BLOCKS = [block for page in PAGES for block in blocks.blocks(page)]
PROGRAMS = """
. [ apt-get cat cd celery chown cp curl docker echo find for git grep id journalctl kubectl loginctl ln
ls mkdir mv openssl pip printf psql python python3 pytest rm sh sha256sum systemctl touch umask
useradd done do uv tail du
"""
"""Programs that examples may call, which are not ours."""
PACKAGES = sorted((ROOT / "examples").glob("*/pyproject.toml"))
PART = {"format": "csv", "time": "time", "sensor": "sensor"}
SAYS = {"columns", "each", "value"}
WIDE = {"columns": ["T"]}
"""What the examples of a few keys leave out."""
KINDS = {"sources": ("kind",), "profiles": ("format",)}


def test_every_error_code_is_explained() -> None:
    text = (DOCS / "reference" / "errors.md").read_text()
    assert [c for c in Code if f"`{c.split()[0]}` {c.split()[1]}" not in text] == []


def test_every_finding_of_an_audit_is_explained() -> None:
    text = (DOCS / "reference" / "audit.md").read_text()
    assert [f for f in Fault if f"`{f.split()[0]}` {f.split()[1]}" not in text] == []


@pytest.mark.parametrize("model", [Settings, FolderSource, Storage, Retention])
def test_every_setting_has_a_docstring(model: type[Any]) -> None:
    documented = settings.meanings(model)
    documented_elsewhere = {"home", "sources", "profiles", "profile_files"}
    assert [
        key
        for key in model.model_fields
        if key not in documented and key not in documented_elsewhere
    ] == []


def test_every_event_has_a_comment() -> None:
    empty = r"^\| `[^|]*\|  \|$"
    assert re.findall(empty, events.of_a_file(), re.MULTILINE) == []
    assert re.findall(r"^\| `[^|]*\| \w+ \|  \|", events.of_the_log(), re.MULTILINE) == []


def test_every_column_of_the_database_is_explained() -> None:
    assert re.findall(r"^\| `.*\|  \|$", tables.reference(), re.MULTILINE) == []


def test_every_command_is_in_the_reference_with_its_help() -> None:
    generated = commands.reference()
    assert [
        name for name, _ in commands.leaves(commands.root()) if f"### `{name}`" not in generated
    ] == []
    assert not re.findall(r"^\|.*\|  \|$", generated, re.MULTILINE)


def test_every_decision_has_a_state() -> None:
    assert decisions.index().count("\n") > 30


def test_the_authors_guide_shows_the_examples_as_they_are() -> None:
    shown = re.findall(
        r"```python\n(.*?)```", (DOCS / "how-to" / "adapters.md").read_text(), re.DOTALL
    )
    packages = [file.parent for file in PACKAGES]
    sources = [file.read_text() for folder in packages for file in sorted(folder.glob("*.py"))]
    assert [name for name in sources if name not in shown] == []


def test_every_test_that_a_guarantee_names_is_there() -> None:
    text = (DOCS / "explanation" / "guarantees.md").read_text()
    named = re.findall(r"`([a-z_]+/[\w/]+\.py)`", text)
    assert len(named) > 50
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []


def test_every_key_of_a_profile_is_explained() -> None:
    text = (DOCS / "reference" / "profile.md").read_text()
    assert [key for key in Profile.model_fields if f"`{key}`" not in text] == []


def test_the_defaults_of_a_profile_are_as_they_are_shown() -> None:
    text = (DOCS / "reference" / "profile.md").read_text()
    keys, times = (
        text.split("## Keys of a profile")[1].split("**Keys by format")[0],
        text.split("## `time`")[1],
    )
    shown = [*_defaults(keys, Profile), *_defaults(times.split("## `columns`")[0], Time)]
    assert len(shown) > 30
    assert [(key, documented, is_) for key, documented, is_ in shown if documented != is_] == []


def _defaults(section: str, model: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Each key whose default is shown as it is written: the key, that text, and the default."""
    for names, cells in re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]*) \|", section, re.MULTILINE):
        keys = re.findall(r"\w+", names)
        documented = [cells] if len(keys) == 1 else cells.split(", ")
        for key, cell in zip(keys, documented, strict=False):
            if key not in model.model_fields:  # extends, which is resolved before
                continue
            actual = settings.default(model.model_fields[key])
            if re.fullmatch(r"`.*`|[\d.]+|true|false", cell) and actual not in ("", "required"):
                yield key, _plain(cell), _plain(actual)


def _plain(text: str) -> str:
    bare = text.strip('`"')
    return str(int(seconds(bare, "smhd") or 0)) if re.fullmatch(r"\d+[smhd]", bare) else bare


def test_every_page_is_in_the_navigation_and_each_link_leads_somewhere() -> None:
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert {p for p in pages - named if not p.startswith("decisions/0")} == set()
    assert named - pages == set(blocks.FROM_ROOT)
    assert [broken for page in PAGES for broken in _broken(page)] == []


def _broken(page: Path) -> list[str]:
    text = blocks.FENCE.sub("", page.read_text("utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", text))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    return [f"{page.name}: {link}" for link in local if not _leads(page, link)]


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    if target.resolve().parent == DOCS and target.name in blocks.FROM_ROOT:
        target = ROOT / blocks.FROM_ROOT[target.name]
    elif page.is_relative_to(DOCS) and not target.resolve().is_relative_to(DOCS):
        return False
    return target.exists() and (not anchor or anchor in _anchors(target.resolve()))


def _anchors(page: Path) -> set[str]:
    text = blocks.FENCE.sub("", page.read_text("utf-8"))
    if page.name == "database.md":
        text += tables.reference()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    given = re.findall(r"\{ #([\w-]+) \}", text)
    return {
        *given,
        *(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", t.lower()).strip()) for t in titles),
    }


def test_no_example_is_outside_of_a_fence() -> None:
    assert [(page.name, line) for page in PAGES for line in blocks.indented(page)] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if not b.exampled], ids=str)
def test_an_example_is_of_a_kind_that_is_checked(block: Block) -> None:
    assert block.kind in CHECKS, f"nobody checks blocks of the kind {block.kind!r}"
    CHECKS[block.kind](block)


def _is_shell(block: Block) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    for words in blocks.commands(block.text):
        _is_command(words)


def _is_command(words: list[str]) -> None:
    program = Path(words[0]).name or words[0]
    if program == "sensorflow":
        _parses(words[1:])
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        wanted = [w for w in words[1:] if "=" not in w and not w.startswith("-")]
        assert [
            w for w in wanted if w not in targets and not (ROOT / w).exists() and w[0] != "."
        ] == []
    elif program == "docker" and "sensorflow" in words[2:]:
        _parses(words[words.index("sensorflow") + 1 :])
    elif program == "kubectl" and "--" in words:
        assert words[words.index("--") + 1] == "sensorflow"
        _parses(words[words.index("--") + 2 :])
    else:
        assert program in PROGRAMS.split(), f"{program}: a command that nobody checks"


def _parses(words: list[str]) -> None:
    """By the command line itself, which is not run."""
    command, name = commands.root(), "sensorflow"
    while hasattr(command, "resolve_command"):
        if not words or words[0].startswith("-"):
            assert not words or words[0] in (
                "--help",
                "--version",
                "--install-completion",
                "--show-completion",
            )
            return
        context = command.make_context(name, [*words], resilient_parsing=True)
        name, command, words = command.resolve_command(context, [*words])
        assert command is not None, name
    command.make_context(name, [*words])


def _is_session(block: Block) -> None:
    """What it prints: tests/integration/test_docs_run.py."""
    for line in block.text.splitlines():
        if line.startswith("$ "):
            for words in blocks.commands(line[2:]):
                _is_command(words)


def _is_toml(block: Block) -> None:
    given = tomllib.loads(block.text)
    if "project" in given:
        assert any(block.text in file.read_text() for file in PACKAGES)
        return
    added_keys = {
        name
        for file in PACKAGES
        for group in tomllib.loads(file.read_text())["project"]["entry-points"].values()
        for name in group
    }
    words = {
        table.get(key)
        for kind in KINDS
        for table in given.get(kind, {}).values()
        for key in KINDS[kind]
    }
    urls = (given.get("broker_url", ""), *given.get("storage", {}).values())
    words |= {url.partition(":")[0] for url in urls}
    if words & added_keys:  # not installed here; tests/integration/test_plugins.py runs them
        return
    tables_ = {"sources", "profiles"} & given.keys()
    if not tables_ and given.keys() - Settings.model_fields.keys():
        given = {"profiles": {"docs": given}}
    for name, profile in given.get("profiles", {}).items():
        if "extends" not in profile:
            given["profiles"][name] = {**PART, **({} if profile.keys() & SAYS else WIDE), **profile}
        profiles.validated(profiles.resolved(name, given["profiles"]), name)
    for source in given.get("sources", {}).values():
        source.setdefault("profile", "long")
        source.setdefault("path", "drop")
    Settings.model_validate({**given, "profiles": {}})


def _is_cron(block: Block) -> None:
    for line in block.text.splitlines():
        if re.match(r"^[A-Z]+=", line):
            continue
        *times, command = line.split(None, 5)
        assert len(times) == 5
        assert all(re.fullmatch(r"[\d*/,-]+", time) for time in times)
        for words in blocks.commands(command):
            _is_command(words)


def _is_python(block: Block) -> None:
    """One of the examples that other tests run; or some lines, whose names there are."""
    if block.text in {file.read_text() for file in (ROOT / "examples").rglob("*.py")}:
        return
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "bootstrap":
            assert hasattr(bootstrap, node.attr)


def _is_console(block: Block) -> None:
    """Run by tests/integration/test_python_docs.py."""
    assert block.page.name == "python.md"


def _is_csv(block: Block) -> None:
    assert block.title, "a file of an example has a title, and is used by its page"


def _is_sql(block: Block) -> None:
    """Run by tests/integration/test_docs_run.py."""
    assert block.text.strip()


CHECKS: dict[str, Callable[[Block], object]] = {
    "sh": _is_shell,
    "console": _is_session,
    "toml": _is_toml,
    "cron": _is_cron,
    "csv": _is_csv,
    "ini": lambda block: configparser.ConfigParser().read_string(block.text),
    "json": lambda block: json.loads(block.text),
    "yaml": lambda block: yaml.safe_load(block.text),
    "python": _is_python,
    "pycon": _is_console,
    "sql": _is_sql,
}


def test_a_shell_checks_scripts() -> None:
    assert shutil.which("bash")
