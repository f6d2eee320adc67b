"""Defines the settings for the locations of the landing zone, the lake and the quarantine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import field_validator, model_validator

from sensorflow import plugins
from sensorflow.core.bucket_url import BUCKETS, bucket_url, has_credentials, misspelled_url
from sensorflow.core.profile.strict import Strict, later_default

ZONES = ("landing", "quarantine", "lake")
AREAS = ("landing", "bronze", "rejects", "silver", "quarantine")
"""The landing zone, the layers of the lake and the quarantine: the parts of the stored data that are copied
separately."""
ON_DISK = "a folder"
"""The location of a zone that is in a folder, in a comparison of several hosts."""


def zone_of(area: str) -> str:
    """Return the zone that contains an area: "lake" for a layer. area: one of `AREAS`."""
    return area if area in ZONES else "lake"


class Storage(Strict):
    """The settings of `[storage]`: the locations of the landing zone, the lake and the quarantine."""

    leading = ("data",)

    data: str | None = later_default(None)
    """The location of all zones whose own key is not set: the URL of a bucket (`s3://bucket/prefix`,
    `gs://bucket/prefix` or `az://container/prefix`), the URL of a store of
    [a package](../how-to/adapters.md#a-store), a `file://` URL, or a path. A value without a scheme is the
    path of a folder on this host, relative to the folder of `sensorflow.toml`. `landing` and `quarantine`
    are subfolders of this location, and the lake's layers `bronze`, `silver` and `rejects` too. Default:
    the data folder."""
    landing: str | None = later_default(None)
    """The landing zone: a path or URL, as for `data`."""
    quarantine: str | None = later_default(None)
    """The quarantine: a path or URL, as for `data`."""
    lake: str | None = later_default(None)
    """The folder of the layers `bronze`, `silver` and `rejects`: a path or URL, as for `data`."""
    previous: str | None = later_default(None)
    """The location from which [the project is being moved](../how-to/storage.md#move-a-project): a path or
    URL, as for `data`. Files that are not in the new location yet are read from here, and removed files
    are removed from both locations."""
    endpoint: str | None = later_default(None)
    """The URL of the service that stores the buckets, for services other than those of Amazon, Google and
    Microsoft. It contains neither a bucket nor credentials. With an `http://` URL, connections are not
    encrypted."""
    region: str | None = later_default(None)
    """The region of S3 buckets. Default: the environment variable `AWS_REGION`, or `us-east-1`."""

    @field_validator("data", *ZONES, "previous")
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        scheme = plugins.scheme(url or "")
        if url is not None and not url.strip():
            raise ValueError("give a path or a URL")
        if (
            url is not None
            and (fault := misspelled_url(url))
            and (not scheme or url != url.strip())
        ):
            raise ValueError(fault)
        if scheme == "file" and not _is_folder(url or ""):
            raise ValueError("a file:// URL needs three slashes, as in file:///srv/landing")
        if scheme in BUCKETS:
            bucket_url(url or "")
        if scheme not in ("", "file", *BUCKETS, *plugins.names(plugins.Group.STORES)):
            known_kinds = ("file", *BUCKETS, *plugins.names(plugins.Group.STORES))
            known = ", ".join(f"{name}://" for name in known_kinds)
            raise ValueError(
                f"no installed package has a store for {scheme}://; supported are a path and {known}"
            )
        return url

    @field_validator("endpoint")
    @classmethod
    def _has_scheme(cls, url: str | None) -> str | None:
        if url is not None and (
            plugins.scheme(url) not in ("http", "https") or not urlsplit(url).netloc
        ):
            raise ValueError("give the URL of the service, as in https://s3.example.org")
        if url is not None and has_credentials(url):
            raise ValueError(
                "credentials do not belong in the settings: set them in the environment, as in "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; see docs/how-to/storage.md"
            )
        if url is not None and (urlsplit(url).query or urlsplit(url).fragment):
            raise ValueError("remove '?' or '#' and what follows it")
        return url

    @model_validator(mode="after")
    def _require_distinct(self) -> Storage:
        located = {zone: url for zone in ZONES if (url := getattr(self, zone)) is not None}
        for zone, url in located.items():
            for other in ZONES[: ZONES.index(zone)]:
                if located.get(other) == url:
                    raise ValueError(
                        f"storage.{other} and storage.{zone} are the same location: give each its own"
                    )
        return self

    def url(self, zone: str) -> str | None:
        """Return the path or URL of a zone; None if the zone is in the data folder. zone: one of
        `ZONES`."""
        found: str | None = getattr(self, zone)
        if found is None and self.data is not None:
            return self.data if zone == "lake" else f"{self.data.rstrip('/')}/{zone}"
        return found

    def folder(self, zone: str, home: Path, data: Path) -> Path | None:
        """Return the folder of a zone on this host, or None if the zone is not on this host. For the lake,
        this is the folder that contains the layers. data: the data folder."""
        url = self.url(zone)
        if url is None:
            return data if zone == "lake" else data / zone
        return _local(url, home)

    def bare_path(self) -> tuple[str, str] | None:
        """Return the first key, and its value, whose relative path may be a bucket without its scheme:
        `endpoint` or `region` is set, but no location is a URL. A path that begins with a dot is certainly
        a path."""
        if self.endpoint is None and self.region is None:
            return None
        keys = ("previous", "data", *ZONES)
        given = {key: url for key in keys if (url := getattr(self, key)) is not None}
        if any(plugins.scheme(url) not in ("", "file") for url in given.values()):
            return None
        given.pop("previous", None)  # a check reports a location without objects
        bare = [(k, u) for k, u in given.items() if not plugins.scheme(u) and u[0] not in "/."]
        return bare[0] if bare else None

    def data_folder(self, home: Path) -> Path | None:
        """Return the folder of `data` on this host; None if `data` is not set, or is not on this host."""
        return None if self.data is None else _local(self.data, home)

    def elsewhere(self) -> str | None:
        """Return the key and value of the first zone that is not in the data folder, for a message. None if
        all zones are in the data folder."""
        for key in ("data", *ZONES, "previous"):
            if (url := getattr(self, key)) is not None:
                return f"storage.{key} = {display_url(url)!r}"
        return None

    def before_move(self) -> Storage | None:
        """Return the settings of the location `previous`; None if no move is in progress."""
        if self.previous is None:
            return None
        return Storage(data=self.previous, endpoint=self.endpoint, region=self.region)


def _local(url: str, home: Path) -> Path | None:
    """Return the folder of a path or URL on this host; None if it is the URL of another store."""
    if plugins.scheme(url) == "file":
        return Path(unquote(urlsplit(url).path))
    return None if plugins.scheme(url) else (home / url).absolute()


def _is_folder(url: str) -> bool:
    """Whether a file:// URL names a folder on this host by an absolute path."""
    parts = urlsplit(url)
    return parts.netloc in ("", "localhost") and parts.path.startswith("/")


def display_url(url: str) -> str:
    """Return a URL for display, without user, password, query and fragment, which may contain secrets."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=place, query="", fragment="").geturl()
