"""Reads settings from environment variables. They override the settings in the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sensorflow.errors import Code, UsageError

PREFIX = "SENSORFLOW_"
RESERVED = re.compile(r"CONFIG(_COPY)?|CRASH|TESTING|SERVICE_(HOST|PORT.*)|PORT(_.*)?")
"""Environment variables with the prefix SENSORFLOW_ that are not settings. Kubernetes sets SERVICE_* and
PORT* in all containers if there is a Kubernetes service with the name "sensorflow"."""
PROJECT = re.compile(r"(DATABASE_URL|BROKER_URL)(_FILE)?|DATA|SOURCES(__.*)?")
"""Environment variables that define a project without a settings file, because they set its data folder or
its sources."""


def names_project(environ: Mapping[str, str]) -> bool:
    """Return whether the variables define a project without a settings file, as in containers."""
    given = (name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    return any(PROJECT.fullmatch(name) for name in given)


def folder() -> Path:
    """Return the current working directory. Raises UsageError if it was removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            "the current folder no longer exists: cd to your project", Code.SETTINGS
        ) from error


class Variables:
    """Applies the environment variables that are settings, and records which variable has set which key.

    environ: all environment variables. plain: keys for which a variable with the suffix _FILE is also
    accepted. The value of this variable is the path of a file that contains the value of the key.
    """

    def __init__(self, environ: Mapping[str, str], plain: Iterable[str]) -> None:
        self._environ, self._plain = environ, set(plain)
        self._origins: dict[tuple[str, ...], str] = {}
        self._tables: set[tuple[str, ...]] = set()

    def overlay(self, given: dict[str, Any]) -> None:
        """Merge the environment variables into `given`, the settings in the file; change `given` in place.
        Raises UsageError if a variable contradicts the file, or if the file of a variable with the suffix
        _FILE cannot be read."""
        self._tables = set(_tables(given))
        for variable, value in sorted(self._environ.items()):
            name = variable.removeprefix(PREFIX)
            if variable.startswith(PREFIX) and not RESERVED.fullmatch(name):
                self._put(given, variable, name.lower(), value)

    def _put(self, given: dict[str, Any], variable: str, name: str, value: str) -> None:
        if name.endswith("_file") and name.removesuffix("_file") in self._plain:
            name, value = name.removesuffix("_file"), read_secret(variable, value)
        target, place = given, []
        *above, last = name.split("__")
        for part in above:
            place.append(_spelt(part, target))
            inner = target.setdefault(place[-1], {})
            if not isinstance(inner, dict):
                raise UsageError(
                    f"{variable} needs the table {(key := '.'.join(place))}, but {key} is already set to "
                    "a value that is not a table; remove one of the two settings",
                    Code.SETTINGS,
                )
            target = inner
        place.append(_spelt(last, target))
        target[place[-1]] = value
        self._origins[tuple(place)] = variable

    def rename(self, former: str, key: str) -> None:
        """If an environment variable has set the key `former`, record that it has set the key `key`
        instead."""
        if (variable := self._origins.pop(tuple(former.split(".")), None)) is not None:
            self._origins[tuple(key.split("."))] = variable

    def of(self, key: str, file: str | None) -> str | None:
        """Return the names of the environment variables that have set a key, as text for messages; None if
        no environment variable has set it. key: the path of the key, joined by dots.

        If the key is a table that also exists in the file, the text also contains `file`, the path of the
        file.
        """
        place = tuple(key.split("."))
        if below := self._below(place):
            return f"{file} with {below}" if file and place in self._tables else below
        while len(place) > 1 and (place := place[:-1]) not in self._tables:
            if below := self._below(place):
                return below
        return None

    def _below(self, place: tuple[str, ...]) -> str:
        below = [v for k, v in self._origins.items() if k[: len(place)] == place]
        return ", ".join(below[:3]) + (" ..." if len(below) > 3 else "")


def _tables(given: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the key paths of all tables in the settings of a file."""
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield (*above, key)
            yield from _tables(value, (*above, key))


def _spelt(part: str, target: Mapping[str, Any]) -> str:
    """Return the key in `target` to which `part`, a part of a variable's name in lower case, refers.
    Return `part` itself if there is no such key.

    The case of the key is ignored, and hyphens in it count as underscores, because names of environment
    variables contain neither lower-case letters nor hyphens.
    """
    if part in target:
        return part
    same = [key for key in target if key.lower().replace("-", "_") == part]
    return same[0] if len(same) == 1 else part


def read_secret(variable: str, path: str) -> str:
    """Return the content of the file `path` without white space at both ends. variable: the variable that
    names the file, for messages. Raises UsageError if the file cannot be read or is empty; the message
    never contains the content."""
    shown = "a URL" if "://" in path else path  # a URL may contain a password
    try:
        content = Path(path).read_text("utf-8").strip()
    except OSError as error:
        reason = f"{error.strerror}; the variable must name a file that uid {os.geteuid()} may read"
        raise UsageError(f"{variable}: {shown}: {reason}", Code.SETTINGS) from error
    except ValueError:
        raise UsageError(f"{variable}: {shown} is not UTF-8 text", Code.SETTINGS) from None
    if not content:
        raise UsageError(f"{variable}: {shown} is empty; write the value into it", Code.SETTINGS)
    return content
