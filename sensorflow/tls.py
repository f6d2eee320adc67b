"""Defines and checks the TLS settings of the connections to the broker and the database."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from sensorflow import plugins
from sensorflow.core.profile.strict import Strict
from sensorflow.errors import Code, UsageError

SECURE = ("rediss", "valkeys", "amqps")
"""Schemes of broker URLs that use TLS."""


class Tls(Strict):
    """The TLS settings of a connection.

    ca: PEM file of the certificate authorities that may sign the server's certificate; None for the
    certificate authorities of the system. cert: PEM file of the client certificate; None if the server
    does not require one. key: PEM file of the private key of the client certificate; None without a client
    certificate. verify: whether to verify the server's certificate.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    def below(self, home: Path) -> Tls:
        """Return a copy of these settings with absolute paths. Relative paths are relative to the folder
        `home`."""
        paths = {name: path and (home / path).absolute() for name, path in self.files().items()}
        return self.model_copy(update=paths)

    def files(self) -> dict[str, Path | None]:
        return {"ca": self.ca, "cert": self.cert, "key": self.key}


def check(key: str, tls: Tls) -> None:
    """Check that the files of `tls` can be read, and that certificate and key are either both set or both
    absent. Raises UsageError for the first fault. key: name of the setting, such as `broker_tls`."""
    for name, path in tls.files().items():
        if path is None:
            continue
        if not path.is_file():
            raise UsageError(f"{key}.{name} = {str(path)!r}: no such file", Code.SETTINGS)
        if not os.access(path, os.R_OK):
            raise UsageError(
                f"{key}.{name} = {str(path)!r}: not readable by this user", Code.SETTINGS
            )
    if (tls.cert is None) != (tls.key is None):
        present, absent = ("cert", "key") if tls.key is None else ("key", "cert")
        raise UsageError(f"{key}.{present} needs {key}.{absent} too", Code.SETTINGS)


def check_broker(url: str | None, tls: Tls | None) -> None:
    """Raises UsageError if the broker URL and the TLS settings contradict each other."""
    if url is None:
        if tls is not None:
            raise UsageError(
                "broker_tls is set, but the embedded broker has no TLS; remove broker_tls, or set "
                "broker_url to use another broker",
                Code.SETTINGS,
            )
        return
    scheme = urlsplit(url).scheme
    ssl = any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(url).query))
    if ssl and scheme in plugins.CELERY:
        raise UsageError(
            "broker_url: set TLS options in broker_tls, not as ?ssl… here", Code.SETTINGS
        )
    if tls is not None and scheme not in plugins.CELERY:
        raise UsageError(
            f"broker_tls is for Redis, Valkey and RabbitMQ; set TLS options of {scheme}:// in broker_url",
            Code.SETTINGS,
        )
    if tls is not None and scheme not in SECURE:
        secure = "amqps" if "amqp" in scheme else "rediss"
        raise UsageError(
            f"broker_tls is set, but broker_url begins with {scheme}://; use {secure}://",
            Code.SETTINGS,
        )


def database_url(url: str | None, tls: Tls | None) -> str | None:
    """Return the database URL with the TLS settings as additional parameters of libpq. tls: None if there
    are no TLS settings; the URL is then returned unchanged. Raises UsageError if there are TLS settings,
    but the URL is None or already has TLS parameters."""
    if tls is None:
        return url
    if url is None:
        raise UsageError(
            "database_tls is set, but the embedded database has no TLS; remove database_tls, or set "
            "database_url to use another database"
        )
    if any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(url).query)):
        raise UsageError(
            "database_tls is set, and database_url has ?ssl… too; use only one of them",
            Code.SETTINGS,
        )
    facts = {"sslmode": "verify-full" if tls.verify else "require"}
    if tls.verify:
        facts["sslrootcert"] = str(tls.ca) if tls.ca else "system"
    if tls.cert is not None:
        facts |= {"sslcert": str(tls.cert), "sslkey": str(tls.key)}
    return url + ("&" if "?" in url else "?") + urlencode(facts, quote_via=quote, safe="")
