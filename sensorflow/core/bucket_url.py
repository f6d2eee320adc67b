"""Reads the URLs of buckets, and finds URLs that are misspelled."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

BUCKETS = ("s3", "gs", "az")
"""Schemes of URLs of buckets, which sensorflow accesses itself."""
SERVICES = ("amazonaws.com", "googleapis.com", "windows.net", "r2.cloudflarestorage.com")
"""Domains of services that store buckets."""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BucketUrl(NamedTuple):
    """scheme: one of `BUCKETS`. bucket: name of the bucket or container. prefix: a path without slashes at
    its ends; "" for the whole bucket."""

    scheme: str
    bucket: str
    prefix: str


def bucket_url(url: str) -> BucketUrl:
    """Return the parts of the URL of a bucket. The prefix is taken literally: percent escapes, which some
    programs decode, are refused. Raises ValueError, whose message does not contain the URL."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme.lower() in BUCKETS and scheme not in BUCKETS:
        raise ValueError(f"write {scheme.lower()}:// in lower case")
    expected = f"{scheme}://bucket/prefix" if scheme in BUCKETS else "s3://bucket/prefix"
    if scheme not in BUCKETS or not rest.startswith("//") or rest.strip("/") == "":
        known = ", ".join(f"{name}://" for name in BUCKETS)
        raise ValueError(f"name a bucket, as in {expected}; buckets have URLs with {known}")
    bucket, _, path = rest[2:].partition("/")
    if "@" in bucket or ":" in bucket:
        raise ValueError(
            "the URL of a bucket contains neither a password nor a port: set credentials in the "
            "environment, and the server in endpoint"
        )
    if not bucket:
        raise ValueError(f"name a bucket, as in {expected}")
    prefix = path.rstrip("/")
    if fault := _fault(bucket, prefix):
        raise ValueError(f"the URL of a bucket {fault}, as in {expected}")
    return BucketUrl(scheme, bucket, prefix)


def has_control_character(text: str) -> bool:
    """Whether a text contains a character that a URL and an HTTP header must not contain."""
    return _CONTROL.search(text) is not None


def _fault(bucket: str, prefix: str) -> str:
    """Return what is wrong with a URL; "" if nothing is."""
    text = f"{bucket}/{prefix}"
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        return "has an empty part, '.' or '..' in its path: write a prefix without them"
    if "\\" in text:
        return "contains a backslash: write slashes"
    if _ESCAPE.search(text):
        return "contains a percent escape, which is not decoded: write the character itself"
    if "?" in text or "#" in text or has_control_character(text):
        return "contains '?', '#' or a control character: write a prefix without them"
    return ""


def misspelled_url(text: str) -> str:
    """Return why a text that is not a URL is not the path of a folder either, but was probably meant as a
    URL; "" if it may be a path."""
    first, slashes, rest = text.partition("//")
    if text != text.strip():
        return "remove the space at the beginning or end"
    if first in ("", ":") and slashes:
        return "write a URL such as s3://bucket/prefix, or a path with one slash"
    if first.rstrip(":").lower() in (*BUCKETS, "file") and slashes:
        return f"write {first.rstrip(':').lower()}://{rest} for a URL"
    if "://" in text:
        return "this is neither a path nor a URL such as s3://bucket/prefix"
    if text.partition("/")[0].lower().endswith(SERVICES):
        return "this is the address of a service: write s3://bucket/prefix (or gs://, az://)"
    return ""


def has_credentials(url: str) -> bool:
    """Whether a URL contains a user or a password."""
    return "@" in urlsplit(url).netloc
