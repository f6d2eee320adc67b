"""Loads plugins. A plugin is a feed, a decoder, a broker or a store that another installed package
provides as an entry point.

Entry points are searched only if a setting contains a name that is not built in. A plugin is imported when
it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from typing import Any
from urllib.parse import urlsplit

from sensorflow.core.profile import formats
from sensorflow.errors import Code, Transient, UsageError


class Group(StrEnum):
    """The groups of entry points. The comment on each group says which setting names an entry point of
    this group."""

    FEEDS = "sensorflow.feeds"  # the kind of a source
    DECODERS = "sensorflow.decoders"  # the format of a profile
    BROKERS = "sensorflow.brokers"  # the scheme of broker_url: a `ports.queue.MakeBroker`
    STORES = "sensorflow.stores"  # the scheme of a URL in [storage]: a `ports.objects.MakeStore`


CELERY = ("redis", "rediss", "redis+socket", "valkey", "valkeys", "amqp", "amqps", "pyamqp")
"""Schemes of broker URLs that Celery handles. Plugins cannot provide brokers for these schemes."""


def scheme(url: str) -> str:
    """Return the scheme of a URL in lower case; "" for a path."""
    return urlsplit(url).scheme


def names(group: Group) -> Sequence[str]:
    """Return the names of the installed entry points of a group."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: Group, name: str) -> Any:
    """Import the object of an entry point, and return it. Raises UsageError as `loaded` does."""
    return loaded(group, name)[0]


def loaded(group: Group, name: str) -> tuple[Any, str]:
    """Import the object of an entry point. Returns (the object, a text with the name and the version of
    its package).

    Raises UsageError if there is no such entry point, or if its package cannot be imported.
    """
    found = list(entry_points(group=group, name=name))
    if not found:
        known_names = ", ".join(names(group)) or "none"
        raise UsageError(
            f"{name!r} is not installed; installed {group}: {known_names}", Code.SETTINGS
        )
    try:
        return found[0].load(), _package(found[0])
    except Exception as error:
        what = f"{name!r} of {_package(found[0])} cannot be imported"
        raise UsageError(f"{what}: {type(error).__name__}: {error}", Code.SETTINGS) from error


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name} {point.dist.version}" if point.dist else point.value


class Decoders:
    """Gives the core access to decoders: plugins that read additional file formats."""

    def names(self) -> Sequence[str]:
        return names(Group.DECODERS)

    def reader(self, name: str) -> formats.Reader:
        """Return the reader of the format `name`. Raises Transient HOST if its package is missing or
        cannot be imported: the file is then retried, because the package may be installed on another
        host."""
        try:
            found, package = loaded(Group.DECODERS, name)
        except UsageError as error:
            do = "install the package on this host; the file is retried"
            raise Transient(Code.HOST, f"format {error.message}; {do}", do=do) from error
        from sensorflow.core.formats.foreign import guarded

        return guarded(found, f"{name!r} of {package}")
