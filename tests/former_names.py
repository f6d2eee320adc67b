"""Settings and commands for the code of another commit, which may know some former names only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

FORMER = {"reconcile": "sweep", "stability_window": "settle", "seal_after": "deferred_close"}


def settings_for(tree: Path, text: str) -> str:
    """The text of a sensorflow.toml, with the keys that the code in `tree` reads."""
    for key, former in _renamed(tree).items():
        text = re.sub(rf"^{key} =", f"{former} =", text, flags=re.MULTILINE)
    return text


def variables_for(tree: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The same for variables."""
    names = {
        f"SENSORFLOW_{k}".upper(): f"SENSORFLOW_{v}".upper() for k, v in _renamed(tree).items()
    }
    return {names.get(name, name): value for name, value in env.items()}


def words_for(tree: Path, words: Sequence[str]) -> list[str]:
    """The same for the words of a command."""
    return ["--why" if _renamed(tree) and word == "--reason" else word for word in words]


def _renamed(tree: Path) -> Mapping[str, str]:
    return {} if (tree / "sensorflow" / "settings" / "former.py").is_file() else FORMER
