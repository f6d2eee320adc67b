"""Generates the reference of the settings. Keys and defaults are those of the models; the meanings are the
docstrings below the fields."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from manual.markdown import cell, table
from sensorflow.core.profile.strict import Strict

SPANS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def reference(model: type[Strict], without: frozenset[str] = frozenset()) -> str:
    """Return a table of the keys of a model, in the order of `model.keys()`. without: keys that are left
    out."""
    shown = model.keys()
    keys = {name: model.model_fields[name] for name in shown if name not in without}
    described = meanings(model)
    rows = [(f"`{n}`", default(f), values(f) + described.get(n, "")) for n, f in keys.items()]
    return table(("Key", "Default", "Meaning"), rows)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return key -> docstring below the field, for the fields of a model and of its parent classes."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if issubclass(parent, BaseModel) and parent is not BaseModel:
            found |= {name: cell(text) for name, text in _docstrings(parent)}
    return found


def _docstrings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    tree = _parsed(inspect.getsourcefile(model) or "")
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name != model.__name__:
            continue
        for field, after in zip(node.body, node.body[1:], strict=False):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                yield field.target.id, inspect.cleandoc(str(after.value.value))


@cache
def _parsed(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text("utf-8"))


def values(field: FieldInfo) -> str:
    """Return a text that lists the possible values of a key; "" if the key accepts other values than a few
    fixed words."""
    inner = [field.annotation, *get_args(field.annotation)]
    words = next((get_args(kind) for kind in inner if get_origin(kind) is Literal), ())
    return " or ".join(f"`{word}`" for word in words) + ". " if len(words) > 1 else ""


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return _shown(field.get_default(call_default_factory=True))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return f"`{_span(value)}`"
    if isinstance(value, ByteSize):
        return "`" + re.sub(r"(\d+)\.0(\w+)", r"\1 \2", value.human_readable()) + "`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, BaseModel):
        return "" if not value.model_dump(exclude_none=True) else f"`{_inline(value)}`"
    if isinstance(value, tuple | list):
        return " ".join(f"`{v}`" for v in value) or "`[]`"
    if isinstance(value, float) and value.is_integer():
        return f"`{int(value)}`"
    return f"`{value}`"


def _inline(value: BaseModel) -> str:
    pairs = value.model_dump(exclude_none=True).items()
    return "{ " + ", ".join(f'{name} = "{word}"' for name, word in pairs) + " }"


def _span(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    letter, size = next((letter, size) for letter, size in SPANS if seconds % size == 0)
    return f"{seconds // size}{letter}"
