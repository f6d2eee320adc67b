"""Opens buckets of S3, Google Cloud Storage and Azure by the package obstore: URLs, endpoints, credentials,
TLS, timeouts and retries.

Credentials come from the environment variables of the provider, from web identity, or from the metadata
service of the instance; see obstore. For each variable in `SECRETS`, a variable with the suffix _FILE may
name a file that contains the value. Such files are read again after the provider has refused them.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from sensorflow.adapters.objects.obstore_module import obstore
from sensorflow.adapters.objects.provider_variables import VARIABLES
from sensorflow.core.bucket_url import BucketUrl, bucket_url, has_control_character, has_credentials
from sensorflow.environment import read_secret
from sensorflow.errors import Code, Transient, UsageError

S3, GOOGLE, AZURE = "s3", "gs", "az"

STORES = {S3: "S3Store", GOOGLE: "GCSStore", AZURE: "AzureStore"}
"""Scheme -> name of the class in obstore."""
ENDPOINTS = {
    S3: ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    GOOGLE: ("GOOGLE_BASE_URL",),
    AZURE: ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Scheme -> variables that contain the endpoint, the first one that is set applies."""
DOCUMENTS = ("GOOGLE_SERVICE_ACCOUNT_KEY",)
"""Variables whose value may have several lines."""
SECRETS: Mapping[str, Mapping[str, str]] = {
    S3: {
        "AWS_ACCESS_KEY_ID": "access_key_id",
        "AWS_SECRET_ACCESS_KEY": "secret_access_key",
        "AWS_SESSION_TOKEN": "session_token",
    },
    GOOGLE: {
        "GOOGLE_SERVICE_ACCOUNT_KEY": "service_account_key",
        "GOOGLE_BEARER_TOKEN": "bearer_token",
    },
    AZURE: {
        "AZURE_STORAGE_ACCOUNT_KEY": "account_key",
        "AZURE_STORAGE_SAS_TOKEN": "sas_key",
        "AZURE_CLIENT_SECRET": "client_secret",
    },
}
"""Scheme -> variable for which a variable with the suffix _FILE is accepted -> obstore's setting."""
CERTIFICATES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a PEM file with further certificate authorities."""

CONNECT_SECONDS = 5
REQUEST_SECONDS = 30
"""Timeout of one request, including its body. The longest body is a part of a few MiB."""
RETRY_SECONDS = 25.0
"""Default of `BucketOptions.retry_seconds`. Together with the last request, an operation takes at most
RETRY_SECONDS + REQUEST_SECONDS."""
RETRIES = 20


@dataclass(frozen=True, slots=True)
class BucketOptions:
    """Options of a bucket. endpoint: the URL of a server that is not the provider's own, such as
    "https://minio.example.org:9000"; None for the one in the environment, or else the provider's own. http
    is used only if the endpoint begins with "http://". region: the region of an S3 bucket; None for the one
    in the environment. account: the storage account of an Azure container; None for the one in the
    environment. retry_seconds: no retry of a failed request begins later than this after the first request.
    connect_seconds, request_seconds: the time in which one connection is made, and one request answered.
    """

    endpoint: str | None = None
    region: str | None = None
    account: str | None = None
    retry_seconds: float = RETRY_SECONDS
    connect_seconds: float = CONNECT_SECONDS
    request_seconds: float = REQUEST_SECONDS


class BucketAccess:
    """A bucket and how to open it. Does not connect.

    scheme: "s3", "gs" or "az". bucket: name of the bucket or container. prefix: the keys of the store begin
    with this path, which has no slashes at its ends; "" for the whole bucket.
    """

    def __init__(self, url: str, options: BucketOptions) -> None:
        self.scheme, self.bucket, self.prefix = _parsed(url)
        self._options = options
        self.endpoint = (options.endpoint or _first(ENDPOINTS[self.scheme]) or "").rstrip("/")
        if self.endpoint and not self.endpoint.startswith(("https://", "http://")):
            raise UsageError(
                f"the endpoint {_displayed(self.endpoint)!r} must begin with https:// or http://",
                Code.SETTINGS,
            )
        if has_credentials(self.endpoint):
            raise UsageError(
                f"the endpoint {_displayed(self.endpoint)} contains credentials: remove them, and set "
                f"{VARIABLES[self.scheme]}",
                Code.SETTINGS,
            )
        if self.endpoint and not _is_server(self.endpoint):
            raise UsageError(
                f"the endpoint {self.endpoint!r} is not the URL of a server, as in https://host:9000",
                Code.SETTINGS,
            )
        self.secrets()  # raises UsageError
        self._require_key_pair()
        self._certificates()
        self._lock = threading.Lock()
        self._store: Any = None
        _OPEN.add(self)

    @property
    def region(self) -> str | None:
        return self._options.region or _first(("AWS_REGION", "AWS_DEFAULT_REGION"))

    def place(self, key: str = "") -> str:
        """Return the URL of the bucket or of an object in it, for messages."""
        return f"{self.scheme}://{self.bucket}" + (f"/{key}" if key else "")

    @property
    def store(self) -> Any:
        """The obstore store, which is made at first use in each process."""
        with self._lock:
            if self._store is None:
                try:
                    self._store = self._open()
                except (UsageError, ValueError) as error:  # they were valid when this was made
                    raise Transient(Code.STORAGE, f"cannot open {self.place()}: {error}") from error
            return self._store

    def renew(self) -> None:
        """Read the credentials again before the next request."""
        with self._lock:
            self._store = None

    def forget(self) -> None:
        """Forget the connections of the parent process, in a forked child."""
        self._lock, self._store = threading.Lock(), None

    def _open(self) -> Any:
        make = getattr(obstore().store, STORES[self.scheme])
        return make(
            self.bucket,
            **self.secrets(),
            **self._settings(),
            client_options=self._client_options(),
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=self._options.retry_seconds),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=4),
                    "base": 2,
                },
            },
        )

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if self.endpoint:
            settings["base_url" if self.scheme == GOOGLE else "endpoint"] = self.endpoint
        if self.scheme == S3:
            settings["disable_bulk_delete"] = True  # not every server has the bulk request
            if self.region:
                settings["region"] = self.region
        if self.scheme == AZURE and self._options.account:
            settings["account_name"] = self._options.account
        return settings

    def secrets(self) -> dict[str, str]:
        """Return the settings whose values are in files. Raises UsageError if a file cannot be read, or if
        a credential cannot be sent."""
        files = {name: f"{name}_FILE" for name in SECRETS[self.scheme]}
        found = {
            SECRETS[self.scheme][name]: read_secret(variable, os.environ[variable])
            for name, variable in files.items()
            if os.environ.get(variable)
        }
        self._require_printable(found)
        return found

    def _require_printable(self, secrets: Mapping[str, str]) -> None:
        """Raise UsageError if a credential has a character that no header can contain; obstore panics at
        one. secrets: those that are in files."""
        for variable, name in SECRETS[self.scheme].items():
            if variable in DOCUMENTS:
                continue
            value = secrets.get(name, os.environ.get(variable, ""))
            if has_control_character(value):
                where = f"{variable}_FILE" if name in secrets else variable
                raise UsageError(
                    f"{where} contains a line break or control character: write one value, in one line",
                    Code.SETTINGS,
                )

    def _require_key_pair(self) -> None:
        """Raise UsageError if only one of the two variables of an access key of S3 is set."""
        pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if self.scheme == S3 else ()
        lacking = [n for n in pair if not (os.environ.get(n) or os.environ.get(f"{n}_FILE"))]
        if len(lacking) == 1:
            given = next(name for name in pair if name not in lacking)
            raise UsageError(
                f"{given} is set, but {lacking[0]} is not: set both (or their _FILE variables), or "
                "neither of them",
                Code.SETTINGS,
            )

    def _client_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "allow_http": self.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=self._options.connect_seconds),
            "timeout": timedelta(seconds=self._options.request_seconds),
        }
        if (certificates := self._certificates()) is not None:
            options["root_certificate"] = certificates
        return options

    @property
    def certificate_file(self) -> str | None:
        """Path of the file with further certificate authorities, or None."""
        return _first(CERTIFICATES)

    def _certificates(self) -> bytes | None:
        """Return the certificates of further authorities, or None. Raises UsageError if their file cannot
        be read, or contains no certificate."""
        if (path := self.certificate_file) is None:
            return None
        name = next(name for name in CERTIFICATES if os.environ.get(name))
        try:
            found = Path(path).read_bytes()
            text = found.decode("ascii", "ignore")
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(
                f"{name}: {path} contains no valid certificate: name a PEM file, which begins with "
                "-----BEGIN CERTIFICATE-----",
                Code.SETTINGS,
            ) from error
        except OSError as error:
            raise UsageError(f"{name}: {path}: {error.strerror}", Code.SETTINGS) from error
        return found


_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
_OPEN: WeakSet[BucketAccess] = WeakSet()


def _forget_all() -> None:
    for access in _OPEN:
        access.forget()


os.register_at_fork(after_in_child=_forget_all)


def _parsed(url: str) -> BucketUrl:
    try:
        return bucket_url(url)
    except ValueError as error:
        raise UsageError(f"{_displayed(url)}: {error}", Code.SETTINGS) from error


def _displayed(url: str) -> str:
    """Return a URL without user and password, for messages."""
    return re.sub(r"//[^/]*@", "//...@", url)


def _is_server(endpoint: str) -> bool:
    """Whether an endpoint is a URL with a host and a valid port."""
    try:
        found = urlsplit(endpoint)
        return bool(found.hostname) and found.port != 0 and not _SPACE.search(endpoint)
    except ValueError:
        return False


def _first(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)
