"""Parses checksum files in GNU and BSD format (sha256sum, sha256sum --tag, openssl dgst), and files that
contain only a digest."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sensorflow.core.gates.announced import DISPLAY_NAMES, LENGTHS, GateUnreadable
from sensorflow.core.names import composed

_GNU = re.compile(r"(\\?)([0-9A-Fa-f]{32,128})(?:[ \t]+\*?(.+))?")
_BSD = re.compile(r"(\\?)([A-Za-z0-9/-]+) ?\((.+)\) ?= ?([0-9A-Fa-f]+)")
_TAGS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True)
class Sum:
    """One line of a checksum file. name: the file's name as it is in the line; None if the line contains
    only a digest."""

    algorithm: str
    digest: str
    name: str | None


def text_of(data: bytes) -> str:
    """Decode the content of a gate from UTF-8, or from UTF-16 as Windows PowerShell writes it. Raises
    GateUnreadable."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise GateUnreadable("it is neither UTF-8 nor UTF-16 text") from None


def sums_of(text: str) -> Iterator[Sum]:
    """Parse the lines of a checksum file. Raises GateUnreadable."""
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        if line.strip() and not line.startswith(("#", ";")):
            yield _sum(line.strip(), number)


def looks_like_sums(text: str) -> bool:
    """Return whether the first line that is not empty has the format of a checksum file."""
    try:
        return next(sums_of(text), None) is not None
    except GateUnreadable:
        return False


def _sum(line: str, number: int) -> Sum:
    if (found := _BSD.fullmatch(line)) is not None:
        escaped, tag, name, digest = found.groups()
        algorithm = _TAGS.get(tag.upper().replace("SHA2-", "SHA").replace("-", ""))
    elif (found := _GNU.fullmatch(line)) is not None:
        escaped, digest, name = found.groups()
        algorithm = LENGTHS.get(len(digest))
    else:
        raise GateUnreadable(f"line {number}: expected a checksum as written by sha256sum")
    if algorithm is None or LENGTHS.get(len(digest)) != algorithm:
        raise GateUnreadable(
            f"line {number}: {len(digest)} digits are not an MD5, SHA-1, SHA-256 or SHA-512"
        )
    if escaped and name:
        name = re.sub(r"\\[\\nr]", lambda m: _ESCAPES[m.group()], name)
    return Sum(algorithm, digest.lower(), name)


def digest_for(text: str, name: str, algorithm: str) -> str:
    """Return a file's digest from the text of its gate. name: the last part of the file's path. algorithm:
    the algorithm of the digest.

    Raises GateUnreadable if the gate is empty or incomplete, or if its digest is for another file or
    algorithm.
    """
    found = list(sums_of(text))
    if not found:
        raise GateUnreadable("the gate is empty")
    ours = [s for s in found if s.name is not None and _last(s.name) == composed(name)]
    if not ours:
        ours = [s for s in found if s.name is None]
        if not ours or len(found) > 1:
            names = ", ".join(_last(s.name) for s in found[:3] if s.name is not None)
            raise GateUnreadable(f"it lists {names or 'no file'}, not {name}")
    ours = [s for s in ours if s.algorithm == algorithm]
    digests = {s.digest for s in ours}
    if not digests:
        raise GateUnreadable(
            f"it has no {DISPLAY_NAMES[algorithm]} of the file, but the gate's name requires one"
        )
    if len(digests) > 1:
        raise GateUnreadable(f"the gate has several checksums of {name}")
    return digests.pop()


def _last(name: str) -> str:
    return composed(re.split(r"[/\\]", name)[-1])


def digest_in(text: str) -> tuple[str, str] | None:
    """Parse a digest in hex, or in base64 as object stores write it. Returns (algorithm, digest), or None
    if the text is not a digest."""
    text = text.strip()
    if re.fullmatch(r"[0-9A-Fa-f]+", text) and len(text) in LENGTHS:
        return LENGTHS[len(text)], text.lower()
    try:
        digest = base64.b64decode(text, validate=True).hex()
    except (ValueError, binascii.Error):
        return None
    return (LENGTHS[len(digest)], digest) if len(digest) in LENGTHS else None
