"""Digests of settings, with no secret in them: of all that a fleet on one host works with, and of what
processes on several hosts have to share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from sensorflow import plugins

HOST = frozenset(
    (
        *("workers", "log_level", "log_size", "log_files"),
        *("flower_port", "flower_user", "flower_password"),
    )
)
"""Settings that may differ from host to host, and change nothing in what is loaded."""
URLS = ("database_url", "broker_url")
PLACE = frozenset((*URLS, "database_tls", "broker_tls", "data", "storage", "flower_hosts"))
"""Settings that say where things are and who asks: each host, container and user may have its own."""
_SALT, _LENGTH = b"sensorflow-digest", 4


def plain(values: Mapping[str, Any]) -> dict[str, str]:
    """The settings that are compared, each as JSON; passwords as four bytes of a slow hash.

    Four bytes say that a password differs, and fit a million others: they cannot be turned back.
    """
    shown = {name: value for name, value in values.items() if name not in HOST}
    shown |= {name: _without_password(shown.get(name)) for name in URLS}
    zones = shown.get("storage") or {}
    shown["storage"] = {zone: _without_password(url) for zone, url in zones.items()}
    return {name: json.dumps(value, sort_keys=True) for name, value in sorted(shown.items())}


def digest(values: Mapping[str, Any]) -> str:
    """24 hexadecimal digits of all that `plain` tells."""
    return _hashed(plain(values))


def shared(values: Mapping[str, Any]) -> str:
    """24 hexadecimal digits of what processes share wherever they run: no host, user or path counts.

    The database is not in it, as it is where these digests are compared; of the broker its kind and its
    number or virtual host, of another package's its scheme.
    """
    kept = {name: value for name, value in values.items() if name not in HOST | PLACE}
    kept["sources"] = {
        name: {key: value for key, value in source.items() if key != "path"}
        for name, source in values["sources"].items()
    }
    return _hashed({**kept, "broker": _broker(values.get("broker_url"))})


def _hashed(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _broker(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in plugins.CELERY:
        return parts.scheme
    if "amqp" in parts.scheme:
        return f"amqp {parts.path.strip('/')}"
    number = parts.path.strip("/")
    if "socket" in parts.scheme:
        number = parse_qs(parts.query).get("virtual_host", [""])[0].strip("/")
    return f"redis {number or 0}"


def _without_password(url: str | None) -> str | None:
    """The URL with a mark in the password's place. A query may hold secrets too: it is marked whole."""
    if url is None:
        return None
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    netloc = f"{name}{colon}{_mark(password)}{at}{place}"
    return urlunsplit(parts._replace(netloc=netloc, query=_mark(parts.query)))


@lru_cache(64)
def _mark(secret: str) -> str:
    if not secret:
        return ""
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=_LENGTH).hex()
