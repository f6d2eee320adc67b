"""What other packages bring, as entry points: feeds, decoders, brokers and stores.

They are looked for only when a setting names what is not built in, and imported when they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from typing import Any
from urllib.parse import urlsplit

from sensorflow.core.profile import formats
from sensorflow.errors import Code, Misuse, Transient


class Group(StrEnum):
    """The groups of entry points, and what the name of one is."""

    FEEDS = "sensorflow.feeds"  # the kind of a source
    DECODERS = "sensorflow.decoders"  # the format of a profile
    BROKERS = "sensorflow.brokers"  # the scheme of broker_url: a `ports.queue.MakeBroker`
    STORES = "sensorflow.stores"  # the scheme of a URL in [storage]: a `ports.objects.MakeStore`


CELERY = ("redis", "rediss", "redis+socket", "valkey", "valkeys", "amqp", "amqps", "pyamqp")
"""Schemes of broker URLs that Celery serves. They are built in: no package is asked for one of them."""


def scheme(url: str) -> str:
    """Of a URL, in small letters; "" of a path."""
    return urlsplit(url).scheme


def names(group: Group) -> Sequence[str]:
    """What is installed here."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: Group, name: str) -> Any:
    """What an entry point names. Raises Misuse, which names the package, where that fails to import; and
    where there is no such entry point."""
    found = list(entry_points(group=group, name=name))
    if not found:
        there = ", ".join(names(group)) or "none"
        raise Misuse(f"{name!r} is not installed; installed in {group}: {there}", Code.SETTINGS)
    try:
        return found[0].load()
    except Exception as error:
        what = f"{name!r} of {_package(found[0])} cannot be imported"
        raise Misuse(f"{what}: {type(error).__name__}: {error}", Code.SETTINGS) from error


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name} {point.dist.version}" if point.dist else point.value


class Decoders:
    """The formats of other packages, for the core."""

    def names(self) -> Sequence[str]:
        return names(Group.DECODERS)

    def reader(self, name: str) -> formats.Reader:
        """Raises Transient: the file is not to blame, and another host may have the package whole."""
        try:
            found: formats.Reader = load(Group.DECODERS, name)
        except Misuse as error:
            do = "install the package again on this host; the file waits"
            raise Transient(Code.HOST, f"format {error.message}; {do}", do=do) from error
        return found
