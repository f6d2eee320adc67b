"""Recognizes known kinds of XML by their first elements. Finds the library profile for each kind."""

from __future__ import annotations

import re

from sensorflow.errors import UsageError

_BEFORE = re.compile(r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*)*", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]")
_KINDS = {
    "gpx": ("gpx", "GPX", "trkpt"),
    "feed": ("green-button", "an Atom feed of Green Button", "espi"),
    "Publication_MarketDocument": ("entsoe", "a document of ENTSO-E", "TimeSeries"),
    "GL_MarketDocument": ("entsoe", "a document of ENTSO-E", "TimeSeries"),
}
"""Name of the root element -> (profile, description, text that the document must also contain)."""


def is_xml(text: str) -> bool:
    return root_of(text) is not None or text.lstrip().startswith(("<?xml", "<!"))


def root_of(text: str) -> str | None:
    """Return the name of the root element without its prefix, or None."""
    root = _ROOT.match(text, _BEFORE.match(text).end())  # type: ignore[union-attr]
    return root[1] if root else None


def kind(text: str) -> tuple[str, str] | None:
    """Return (profile, reason) for XML of a known kind, otherwise None. Raises UsageError if the XML is
    of a kind that no profile can read."""
    name = root_of(text) or ""
    profile, called, inside = _KINDS.get(name, ("", "", ""))
    if profile and inside in text:
        return profile, f"{called}: the root element is {name}"
    if re.match(r"\s*<!doctype\s+html|<html", text, re.IGNORECASE):
        raise UsageError("the file is HTML, which profiles cannot read: export CSV, JSON or XML")
    if name == "Workbook" or (name == "document" and "opendocument" in text[:4000]):
        raise UsageError(
            "the file is a spreadsheet in one XML document: save it as .xlsx, .ods or CSV"
        )
    return None


def declares(text: str) -> bool:
    """Return whether the document declares an encoding other than UTF-8."""
    declaration = re.match(r"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w.:-]+)", text)
    return declaration is not None and declaration[1].lower() not in ("utf-8", "utf8")
