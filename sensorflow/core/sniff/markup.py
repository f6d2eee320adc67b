"""XML: the library's profile for a kind that its first elements tell."""

from __future__ import annotations

import re

from sensorflow.errors import Misuse

_BEFORE = re.compile(r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*)*", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]")
_KINDS = {
    "gpx": ("gpx", "GPX", "trkpt"),
    "feed": ("green-button", "an Atom feed of Green Button", "espi"),
    "Publication_MarketDocument": ("entsoe", "a document of ENTSO-E", "TimeSeries"),
    "GL_MarketDocument": ("entsoe", "a document of ENTSO-E", "TimeSeries"),
}
"""Root -> profile, what it is called, and what must stand in the text too."""


def kind(text: str) -> tuple[str, str] | None:
    """(profile, why) of a text; None of what is no XML. Misuse of XML that the library does not know."""
    root = _ROOT.match(text, _BEFORE.match(text).end())  # type: ignore[union-attr]
    if root is None and not text.lstrip().startswith(("<?xml", "<!")):
        return None
    name = root[1] if root else ""
    profile, called, inside = _KINDS.get(name, ("", "", ""))
    if profile and inside in text:
        return profile, f"{called}: its root is {name}"
    if re.match(r"\s*<!doctype\s+html|<html", text, re.IGNORECASE):
        raise Misuse("this is HTML, which no profile reads: export CSV, JSON or XML")
    raise Misuse(
        'this is XML: write a profile with format = "xml" and records, the path to the elements that are '
        'records, as in records = "gpx.trk.trkseg.trkpt"; docs/profiles/xml.md has examples'
    )
