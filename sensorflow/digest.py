"""Computes digests of settings. Processes with equal digests run with the same settings. The digests
reveal no secrets. `digest` compares processes on one host, and `shared` compares processes on all
hosts."""

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
        *("workers", "min_free", "log_level", "log_size", "log_files"),
        *("flower_port", "flower_user", "flower_password", "liveness_file"),
        *("metrics_port", "metrics_host"),
    )
)
"""Settings that may differ between hosts and do not affect what is loaded."""
URLS = ("database_url", "broker_url")
PLACE = frozenset((*URLS, "database_tls", "broker_tls", "data", "storage", "flower_hosts"))
"""Settings for locations and credentials. They may differ between the hosts, containers and users of one
fleet."""
_SALT, _LENGTH = b"sensorflow-digest", 4


def plain(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings to compare, without those in `HOST`: key -> value as JSON. Each password in a
    URL is replaced by four bytes of a slow hash.

    Two different passwords almost always have different hashes. The hash does not reveal the password,
    because millions of other passwords have the same four bytes.
    """
    shown = {name: value for name, value in values.items() if name not in HOST}
    shown |= {name: _without_password(shown.get(name)) for name in URLS}
    zones = shown.get("storage") or {}
    shown["storage"] = {zone: _without_password(url) for zone, url in zones.items()}
    return {name: json.dumps(value, sort_keys=True) for name, value in sorted(shown.items())}


def digest(values: Mapping[str, Any]) -> str:
    """Return a digest of the settings that `plain` returns: 24 hexadecimal digits."""
    return _hashed(plain(values))


def shared(values: Mapping[str, Any]) -> str:
    """Return a digest of the settings that all processes of a fleet must share: 24 hexadecimal digits.

    Hosts, users and paths do not affect the digest. The database does not affect it either, because
    processes that compare their digests do so in the same database. Of a broker that Celery handles, the
    kind of broker and its database number or virtual host affect the digest. Of a broker that an installed
    package adds, only the scheme of the URL affects it.
    """
    shared_values = {name: value for name, value in values.items() if name not in HOST | PLACE}
    shared_values["sources"] = {
        name: {key: value for key, value in source.items() if key != "path"}
        for name, source in values["sources"].items()
    }
    return _hashed({**shared_values, "broker": _broker(values.get("broker_url"))})


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
    """Return `url` with hashes in place of its password and its query, because both may contain
    secrets."""
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
