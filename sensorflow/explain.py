"""Converts a validation error of pydantic to a message of one line that names the key and the fault. For
an unknown key, the message suggests a valid key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sensorflow.core.nearest import did_you_mean

_CREDENTIALS = re.compile(r"//[^/]*@")
"""A user or a password in a URL."""


def explain(error: ValidationError, model: type[BaseModel], given: Any) -> tuple[str, str]:
    """Return (key, message) for the first error that the user should fix. key: the path of the faulty key,
    joined by dots; "" if the error does not concern a single key. model: the class against which the values
    were validated. given: these values."""
    found = [_Found(e, model) for e in error.errors(include_url=False, include_input=False)]
    first = min(found, key=lambda f: f.rank)
    key = ".".join(first.keys)
    if first.type == "extra_forbidden":
        known = list(_fields(model, first.keys[:-1], given))
        hint = did_you_mean(first.keys[-1], known, f"known: {', '.join(known)}")
        return key, f"unknown key {key!r}; {hint}"
    if first.type == "missing":
        return key, f"{key}: is required"
    message = first.message.removeprefix("Value error, ")
    return key, f"{key}{_shown(given, first.keys)}: {message}" if key else message


class _Found:
    """One of the errors in a ValidationError. type: pydantic's name of the kind of error. keys: the path
    of the faulty key."""

    def __init__(self, error: Any, model: type[BaseModel]) -> None:
        self.type, self.message = error["type"], error["msg"]
        # a union adds the name of its branch to the location; the name is not a key
        self.keys = [str(k) for k in error["loc"] if not _is_branch(k)]

    @property
    def rank(self) -> int:
        """The place of this error in the order in which the user should fix errors; the lowest comes
        first. Unknown keys come first, because a misspelled key may be the reason why another key is
        missing."""
        return {"extra_forbidden": 0, "missing": 2}.get(self.type, 1)


def _is_branch(key: Any) -> bool:
    return isinstance(key, str) and (key in ("int", "str", "float") or "[" in key)


def _secretive(key: str) -> bool:
    return any(word in key for word in ("url", "password", "secret"))


def _shown(given: Any, keys: list[str]) -> str:
    if _secretive(".".join(keys)):
        return ""
    for part in keys:
        if isinstance(given, list) and part.isdigit() and int(part) < len(given):
            given = given[int(part)]
        elif isinstance(given, Mapping) and part in given:
            given = given[part]
        else:
            return ""
    if isinstance(given, str) and _CREDENTIALS.search(given):
        return ""
    return f" = {given!r}" if isinstance(given, str | int | float | bool) else ""


def _fields(model: type[BaseModel], keys: list[str], given: Any) -> Iterator[str]:
    """Yield the valid keys at a location of the settings, in the order of the documentation.

    model: the class of the settings. keys: the location, as a path of keys. given: the values that the
    user has set. At some locations, such as a source, the class depends on the values; there, `given`
    selects the class.
    """
    kinds: list[Any] = [model]
    for key in keys:
        given = given.get(key) if isinstance(given, Mapping) else None
        inner: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                inner += (
                    _models(kind.model_fields[key].annotation) if key in kind.model_fields else []
                )
            else:
                inner.append(kind)
        kinds = [_chosen(kind, given) for kind in inner or kinds]
    for kind in kinds:
        yield from kind.keys()


def _chosen(kind: Any, given: Any) -> Any:
    return kind.chosen(given) if hasattr(kind, "chosen") else kind


def _models(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
