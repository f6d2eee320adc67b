"""The examples of docs/how-to/python.md, and the notebook, as a user runs them."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path

import pytest
from project_driver import ProjectDriver

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "python.md").read_text()
FILE = re.search(r"```csv[^\n]*\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def project_with_a_file(project: Path, emptied: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Loaded, and beside sensorflow.toml."""
    assert FILE is not None
    driver = ProjectDriver(project, emptied, {"max_rejects": "30%"})
    driver.load("boiler.csv", FILE[1].encode())
    driver.close()
    (project / "boiler.csv").write_text(FILE[1])
    monkeypatch.chdir(project)
    monkeypatch.delenv("SENSORFLOW_CONFIG", raising=False)
    return project


def test_the_examples_of_the_page_are_true(
    project_with_a_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those about files in a folder with nothing else, those about a project in one."""
    assert FILE is not None
    files, project = PAGE.split("## Query and change a project\n")
    alone = tmp_path_factory.mktemp("alone")
    (alone / "boiler.csv").write_text(FILE[1])
    names: dict[str, object] = {}
    for folder, text in ((alone, files), (project_with_a_file, project)):
        monkeypatch.chdir(folder)
        assert run(text, names) == ""


def run(text: str, names: dict[str, object]) -> str:
    """The examples of a text. Returns what is not as it is shown."""
    shown = "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(shown, names, "python.md", None, 0)
    assert len(test.examples) == text.count("\n>>> ") > 4
    found: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=found.append, clear_globs=False)
    names.update(test.globs)
    return "".join(found)


def test_the_notebook_runs_in_a_project(
    project_with_a_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(ROOT / "examples" / "notebook" / "readings.py"))
    output = capsys.readouterr().out
    assert "boiler.csv loaded     4       3         1" in output
    assert re.search(r"^2026-01-31 12:00:00\+00:00 +61\.75 +44\.25$", output, re.MULTILINE)
    assert "{'boiler': 62.0, 'return': 44.25}" in output
    assert re.search(r"boiler.csv +F111 value-not-a-number +1$", output, re.MULTILINE)
