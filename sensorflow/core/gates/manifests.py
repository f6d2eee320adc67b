"""Manifests: gates that list several files with their sizes, checksums and row counts. A manifest is JSON,
CSV, or a checksum file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sensorflow.core.gates.announced import ALGORITHMS, DISPLAY_NAMES, Announced, GateUnreadable
from sensorflow.core.gates.sums import digest_in, looks_like_sums, sums_of, text_of
from sensorflow.core.names import canonical

NAMES = ("name", "path", "file", "filename", "filepath", "key")
SIZES = ("size", "bytes", "sizebytes", "sizeinbytes", "filesize", "contentlength")
ROWS = ("rows", "rowcount", "records", "recordcount", "numrows", "nrows", "count")
SUMS = ("checksum", "hash", "digest")
LISTS = ("files", "entries", "items", "objects", "members", "contents")
FILES = ("filecount", "numfiles", "nfiles", "totalfiles")
"""Accepted key names, in lower case and without characters other than letters and digits."""
KNOWN = frozenset((*NAMES, *SIZES, *ROWS, *SUMS, *LISTS, *FILES, *ALGORITHMS))


@dataclass(frozen=True)
class _Line:
    name: str
    facts: Mapping[str, Any]


def manifest(data: bytes, key: bytes) -> dict[bytes, Announced]:
    """Return, for each file in the manifest, its key and its announcement. data: the content of the
    manifest. key: the key of the manifest.

    Names in the manifest are relative to the manifest's folder. If a name is a URL or an absolute path,
    only the last part is used. An entry for the manifest itself is ignored, because `sha256sum * >
    SHA256SUMS` writes such an entry. Raises GateUnreadable.
    """
    text, gate = text_of(data), key.decode("utf-8", "backslashreplace")
    if not text.strip():
        raise GateUnreadable("the manifest is empty")
    found: dict[bytes, Announced] = {}
    for line in _lines(text):
        other = canonical(_key(line.name, key))
        if other == canonical(key):
            continue
        result = _announced(line, gate)
        if found.setdefault(other, result) != result:
            raise GateUnreadable(f"it lists {line.name} twice, with different properties")
    if not found:
        raise GateUnreadable("the manifest lists no file")
    return found


def _lines(text: str) -> Iterator[_Line]:
    if text.lstrip().startswith(("{", "[")):
        yield from _of_json(text)
    elif looks_like_sums(text):
        yield from _of_sums(text)
    else:
        yield from _of_csv(text)


def _of_sums(text: str) -> Iterator[_Line]:
    for found in sums_of(text):
        if found.name is None:
            raise GateUnreadable("a checksum manifest needs a file name on each line")
        yield _Line(found.name, {found.algorithm: found.digest})


def _of_csv(text: str) -> Iterator[_Line]:
    header = text.splitlines()[0]
    delimiter = max(",;\t|", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        titles = [_plain(title) for title in next(rows)]
        if not set(titles) & set(NAMES):
            raise GateUnreadable(
                "expected JSON, lines of checksums, or CSV whose header has a column "
                f"named {' or '.join(NAMES[:3])}"
            )
        if len(set(titles)) != len(titles):
            raise GateUnreadable("line 1: two columns have the same title")
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(titles):
                raise GateUnreadable(
                    f"line {rows.line_num}: {len(row)} cells, the header has {len(titles)}"
                )
            yield _record(dict(zip(titles, row, strict=True)))
    except csv.Error as error:
        raise GateUnreadable(f"line {rows.line_num}: {error}") from None


def _of_json(text: str) -> Iterator[_Line]:
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise GateUnreadable(f"it is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        yield from _listed(document)
        return
    facts = _facts(document)
    place = next((name for name in LISTS if isinstance(facts.get(name), list | dict)), None)
    if place is None:
        if not set(facts) & set(NAMES):
            raise GateUnreadable('expected a list of files under "files"')
        yield _record(facts)
        return
    lines = list(_listed(facts[place]))
    yield from lines
    stated_count = _number(_Line("", facts), FILES)
    if stated_count not in (None, len(lines)):
        files = "1 file" if stated_count == 1 else f"{stated_count} files"
        raise GateUnreadable(f"it announces {files} but lists {len(lines)}")


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise GateUnreadable(f"it has {name!r} twice in the same object")
        found[name] = value
    return found


def _facts(given: Mapping[str, Any]) -> dict[str, Any]:
    """Normalize the keys of one entry of a manifest. If several keys have the same normalized form, the
    value of the last one is used. Raises GateUnreadable if their values differ and the key is one that
    sensorflow reads (`KNOWN`)."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        plain = _plain(name)
        if plain in KNOWN and found.get(plain, value) != value:
            raise GateUnreadable(f"it has {name!r} twice in the same object")
        found[plain] = value
    return found


def _listed(files: Any) -> Iterator[_Line]:
    if isinstance(files, dict):
        for name, facts in files.items():
            if isinstance(facts, dict):
                yield _Line(name, _facts(facts))
            else:
                yield _Line(name, {} if facts is None else {"checksum": facts})
        return
    for file in files:
        if isinstance(file, str):
            yield _Line(file, {})
        elif isinstance(file, dict):
            yield _record(_facts(file))
        else:
            raise GateUnreadable(f"expected a file's name or an object, found {file!r}")


def _record(facts: Mapping[str, Any]) -> _Line:
    name = next((facts[n] for n in NAMES if facts.get(n)), None)
    if not isinstance(name, str) or not name.strip():
        raise GateUnreadable(f"a file has no name: set one of {', '.join(NAMES)}")
    return _Line(name.strip(), facts)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _key(name: str, manifest_key: bytes) -> bytes:
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or "://" in name or parts[0].endswith(":"):
        parts = parts[-1:]
    parts = [part for part in parts if part not in ("", ".")]
    if not parts or ".." in parts:
        raise GateUnreadable(f"{name!r} is not a path below the manifest's folder")
    folder, slash, _ = manifest_key.rpartition(b"/")
    try:
        key = "/".join(parts).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # an unpaired surrogate
        key = b"\0"
    if b"\0" in key:
        raise GateUnreadable(f"{name!r} is not a file name")
    return folder + slash + key


def _announced(line: _Line, gate: str) -> Announced:
    sizes, rows = _number(line, SIZES), _number(line, ROWS)
    sums: dict[str, str] = {}
    for name, value in line.facts.items():
        wanted = name.removesuffix("sum") if name.removesuffix("sum") in ALGORITHMS else None
        if value in (None, "") or (wanted is None and name not in SUMS):
            continue
        algorithm, digest = _digest(line, value, wanted)
        if sums.setdefault(algorithm, digest) != digest:
            raise GateUnreadable(f"{line.name}: two different {DISPLAY_NAMES[algorithm]} checksums")
    return replace(Announced(gate), size=sizes, rows=rows, sums=tuple(sorted(sums.items())))


def _digest(line: _Line, value: Any, wanted: str | None) -> tuple[str, str]:
    text = str(value)
    prefix, colon, rest = text.partition(":")
    if colon and _plain(prefix) in ALGORITHMS:
        wanted, text = wanted or _plain(prefix), rest
    found = digest_in(text)
    if found is None or wanted not in (None, found[0]):
        what = DISPLAY_NAMES[wanted] if wanted else "MD5, SHA-1, SHA-256 or SHA-512"
        raise GateUnreadable(f"{line.name}: {text!r} is not {what}")
    return found


def _number(line: _Line, names: tuple[str, ...]) -> int | None:
    found: set[int] = set()
    prefix = f"{line.name}: " if line.name else ""
    for name in names:
        value = line.facts.get(name)
        if value in (None, ""):
            continue
        text = str(value).strip()
        if isinstance(value, bool | float) or not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
            raise GateUnreadable(f"{prefix}{name} is {value!r}, expected a number")
        found.add(int(text))
    if len(found) > 1:
        raise GateUnreadable(f"{prefix}{names[0]} is given twice, with different numbers")
    return found.pop() if found else None
