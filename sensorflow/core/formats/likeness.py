"""Advises how to correct the profile if a file is not in the profile's format but looks like another
format."""

from __future__ import annotations

import json
import re

HEAD = 1 << 14
WORDS = {
    "parquet": "a Parquet file",
    "xlsx": "a spreadsheet (xlsx)",
    "json": "a JSON document",
    "xml": "an XML document",
    "jsonl": "JSON lines",
    "csv": "a table of text",
}


_FOREIGN = {
    "senml": ("parquet", "xlsx", "csv"),
    "influx": ("parquet", "xlsx", "json", "jsonl"),
    "nem12": ("parquet", "xlsx", "json", "jsonl"),
}
"""Format -> other formats that a file of this format never looks like. If a file looks like one of these,
the format in the profile is wrong."""


def like(head: bytes) -> str | None:
    """Return the format that the first decompressed bytes of a file suggest, or None. Returns "utf-16"
    for any text in UTF-16."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "xlsx" if b"[Content_Types].xml" in head or b"xl/" in head else None
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _halves(head):
        return "utf-16"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<?xml") or re.match(rb"<[A-Za-z_][\w.:-]*[\s/>]", text):
        return "xml"
    if text[:1] in (b"{", b"["):
        first = text.split(b"\n", 1)[0]
        return "jsonl" if text[:1] == b"{" and _is_complete(first) and b"\n" in text else "json"
    return "csv" if text and b"\0" not in text else None


def _halves(head: bytes) -> bool:
    """Return whether every second byte is NUL, as in UTF-16 without a byte-order mark."""
    zeros = max(head[:256:2].count(0), head[1:256:2].count(0))
    return len(head) >= 8 and zeros > 0.4 * len(head[:256]) and head[:256].count(0) == zeros


def _is_complete(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def advice(head: bytes, form: str, encoding: str) -> str | None:
    """Return advice for a profile whose format is `form`. Returns None if the file does not look like
    another format."""
    found = like(head)
    if found == "utf-16":
        is_utf16 = encoding.lower().startswith(("utf-16", "utf16"))
        return None if is_utf16 else 'set encoding = "utf-16" in the profile, then replay'
    if found is None or found == form or (found == "jsonl" and form == "json"):
        return None
    if form not in WORDS and found not in _FOREIGN.get(form, ()):
        return None
    return (
        f'the file looks like {WORDS[found]}: set format = "{found}" in the profile, or let '
        "`sensorflow sniff` propose one, then replay"
    )
