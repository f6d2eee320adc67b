"""What a new contributor sets up is what CI and `make lint` use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def test_pre_commit_runs_what_make_lint_runs_and_fetches_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    linted = re.findall(r"^\t@\$\(BIN\)/(.*?)(?: \.)?$", recipe[1], re.MULTILINE)
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in hooks] == linted


def test_the_devcontainer_is_the_machine_of_ci() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    ci = (ROOT / ".gitlab-ci.yml").read_text("utf-8")
    assert f"image: {container['image']} " in ci
    assert f"- {container['onCreateCommand']}\n" in ci
    target = container["postCreateCommand"].removeprefix("make ")
    assert f"\n{target}:" in MAKEFILE
