"""Where the landing zone and the quarantine are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import field_validator, model_validator

from sensorflow import plugins
from sensorflow.core.profile.strict import Strict, later

ZONES = ("landing", "quarantine")


class Storage(Strict):
    """Each a path, a file:// URL, or a URL of a scheme for which a package has a store; None: the folder of
    that name in the data folder."""

    landing: str | None = later(None)
    """The landing zone: a path, a `file://` URL, or the URL of a store of
    [a package](../how-to/adapters.md#a-store)."""
    quarantine: str | None = later(None)
    """The quarantine, likewise."""

    @field_validator(*ZONES)
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        scheme = plugins.scheme(url or "")
        if url is not None and not url.strip():
            raise ValueError("give a path or a URL")
        if scheme == "file" and urlsplit(url or "").netloc not in ("", "localhost"):
            raise ValueError("a file:// URL has three slashes, as in file:///srv/landing")
        if scheme not in ("", "file") and scheme not in plugins.names(plugins.Group.STORES):
            there = ("file", *plugins.names(plugins.Group.STORES))
            known = ", ".join(f"{name}://" for name in there)
            raise ValueError(f"no package has a store for {scheme}://; there are: a path, {known}")
        return url

    @model_validator(mode="after")
    def _apart(self) -> Storage:
        if self.landing is not None and self.landing == self.quarantine:
            raise ValueError(
                "storage.landing and storage.quarantine are the same place: give each its own"
            )
        return self

    def url(self, zone: str) -> str | None:
        found: str | None = getattr(self, zone)
        return found

    def folder(self, zone: str, home: Path, data: Path) -> Path | None:
        """On this host's disk; None where a package has the store."""
        url = self.url(zone)
        if url is None:
            return data / zone
        if plugins.scheme(url) == "file":
            return Path(unquote(urlsplit(url).path))
        return None if plugins.scheme(url) else (home / url).absolute()

    def elsewhere(self) -> str | None:
        """The first zone that is not in the data folder, as it is set: for what knows that folder alone."""
        for zone in ZONES:
            if (url := self.url(zone)) is not None:
                return f"storage.{zone} = {shown(url)!r}"
        return None


def shown(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=place, query="", fragment="").geturl()
