"""A digest of settings: equal where two processes work with the same ones, and no secret in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HOST = frozenset(("workers", "log_level", "flower_port", "flower_user", "flower_password"))
"""Settings that may differ from host to host, and change nothing in what is loaded."""
URLS = ("database_url", "broker_url")
_SALT, _LENGTH = b"sensorflow-digest", 4


def plain(values: Mapping[str, Any]) -> dict[str, str]:
    """The settings that are compared, each as JSON; passwords as four bytes of a slow hash.

    Four bytes say that a password differs, and fit a million others: they cannot be turned back.
    """
    shown = {name: value for name, value in values.items() if name not in HOST}
    shown |= {name: _without_password(shown.get(name)) for name in URLS}
    return {name: json.dumps(value, sort_keys=True) for name, value in sorted(shown.items())}


def digest(values: Mapping[str, Any]) -> str:
    """24 hexadecimal digits of all that `plain` tells."""
    text = json.dumps(plain(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


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
