"""What is set about TLS to the broker and the database: files, and whether the other end is verified."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from sensorflow import plugins
from sensorflow.core.profile.strict import Strict
from sensorflow.errors import Code, Misuse

SECURE = ("rediss", "valkeys", "amqps")
"""Schemes of broker URLs that ask for TLS."""


class Tls(Strict):
    """ca: who may have signed the server's certificate (PEM); without it, whom the system trusts.

    cert, key: what we show, where the server asks for it. verify = false: anybody may answer.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    def below(self, home: Path) -> Tls:
        """The same with absolute paths."""
        paths = {name: path and (home / path).absolute() for name, path in self.files().items()}
        return self.model_copy(update=paths)

    def files(self) -> dict[str, Path | None]:
        return {"ca": self.ca, "cert": self.cert, "key": self.key}


def check(key: str, tls: Tls) -> None:
    """Misuse, of one line, for the first file of `tls` that cannot be read. key: `broker_tls`."""
    for name, path in tls.files().items():
        if path is None:
            continue
        if not path.is_file():
            raise Misuse(f"{key}.{name} = {str(path)!r}: no such file", Code.SETTINGS)
        if not os.access(path, os.R_OK):
            raise Misuse(
                f"{key}.{name} = {str(path)!r}: this user may not read the file", Code.SETTINGS
            )
    if (tls.cert is None) != (tls.key is None):
        there, absent = ("cert", "key") if tls.key is None else ("key", "cert")
        raise Misuse(f"{key}.{there} needs {key}.{absent} too", Code.SETTINGS)


def check_broker(url: str | None, tls: Tls | None) -> None:
    """Misuse where URL and settings do not go together."""
    if url is None:
        if tls is not None:
            raise Misuse(
                "broker_tls: the embedded broker has no TLS; set broker_url", Code.SETTINGS
            )
        return
    scheme = urlsplit(url).scheme
    ssl = any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(url).query))
    if ssl and scheme in plugins.CELERY:
        raise Misuse("broker_url: set TLS options in broker_tls, not as ?ssl…", Code.SETTINGS)
    if tls is not None and scheme not in plugins.CELERY:
        raise Misuse(
            f"broker_tls is for Redis, Valkey and RabbitMQ; set the options of {scheme}:// in broker_url",
            Code.SETTINGS,
        )
    if tls is not None and scheme not in SECURE:
        secure = "amqps" if "amqp" in scheme else "rediss"
        raise Misuse(
            f"broker_tls is set, but broker_url begins with {scheme}://; use {secure}://",
            Code.SETTINGS,
        )


def database_url(url: str | None, tls: Tls | None) -> str | None:
    """The URL with what libpq is to know of TLS. Raises Misuse where URL and settings say both."""
    if tls is None:
        return url
    if url is None:
        raise Misuse("database_tls: the embedded database has no TLS; set database_url")
    if any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(url).query)):
        raise Misuse(
            "database_tls is set, but database_url has ?ssl… too; keep only one of them",
            Code.SETTINGS,
        )
    facts = {"sslmode": "verify-full" if tls.verify else "require"}
    if tls.verify:
        facts["sslrootcert"] = str(tls.ca) if tls.ca else "system"
    if tls.cert is not None:
        facts |= {"sslcert": str(tls.cert), "sslkey": str(tls.key)}
    return url + ("&" if "?" in url else "?") + urlencode(facts, quote_via=quote, safe="")
