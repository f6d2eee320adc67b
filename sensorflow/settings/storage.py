"""Defines the settings for the locations of the landing zone and the quarantine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import field_validator, model_validator

from sensorflow import plugins
from sensorflow.core.profile.strict import Strict, later_default

ZONES = ("landing", "quarantine")


class Storage(Strict):
    """The settings of `[storage]`: the locations of the landing zone and the quarantine. A value of None
    selects the folder `landing` or `quarantine` in the data folder."""

    landing: str | None = later_default(None)
    """The landing zone: a path, a `file://` URL, or the URL of a store of
    [a package](../how-to/adapters.md#a-store)."""
    quarantine: str | None = later_default(None)
    """The quarantine: a path or URL, as for `landing`."""

    @field_validator(*ZONES)
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        scheme = plugins.scheme(url or "")
        if url is not None and not url.strip():
            raise ValueError("give a path or a URL")
        if scheme == "file" and urlsplit(url or "").netloc not in ("", "localhost"):
            raise ValueError("a file:// URL needs three slashes, as in file:///srv/landing")
        if scheme not in ("", "file") and scheme not in plugins.names(plugins.Group.STORES):
            known_kinds = ("file", *plugins.names(plugins.Group.STORES))
            known = ", ".join(f"{name}://" for name in known_kinds)
            raise ValueError(
                f"no installed package has a store for {scheme}://; supported are a path and {known}"
            )
        return url

    @model_validator(mode="after")
    def _require_distinct(self) -> Storage:
        if self.landing is not None and self.landing == self.quarantine:
            raise ValueError(
                "storage.landing and storage.quarantine are the same location: give each its own"
            )
        return self

    def url(self, zone: str) -> str | None:
        found: str | None = getattr(self, zone)
        return found

    def folder(self, zone: str, home: Path, data: Path) -> Path | None:
        """Return the folder of a zone on this host, or None if a package provides the store."""
        url = self.url(zone)
        if url is None:
            return data / zone
        if plugins.scheme(url) == "file":
            return Path(unquote(urlsplit(url).path))
        return None if plugins.scheme(url) else (home / url).absolute()

    def elsewhere(self) -> str | None:
        """Return the key and value of the first zone that is not in the data folder, for a message. None if
        both zones are in the data folder."""
        for zone in ZONES:
            if (url := self.url(zone)) is not None:
                return f"storage.{zone} = {display_url(url)!r}"
        return None


def display_url(url: str) -> str:
    """Return a URL for display, without user, password, query and fragment, which may contain secrets."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=place, query="", fragment="").geturl()
