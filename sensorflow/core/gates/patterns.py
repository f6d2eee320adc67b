"""Names of gates. The name of a gate for a single file is derived from the file's name; the name of a
manifest matches a pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from sensorflow.core.gates.announced import ALGORITHMS
from sensorflow.core.names import composed

PACKED = (b".gz", b".bz2", b".xz", b".zst", b".zip")
_HOLE = re.compile(r"\{(name|stem|path)\}")
HOLES = (
    "{name} (the file's name), {stem} (without its ending) or {path} (its path below the source)"
)


@dataclass(frozen=True)
class NamePattern:
    """The name pattern of a gate for a single file. Create it with `of`."""

    before: bytes
    hole: str
    after: bytes

    @classmethod
    def of(cls, text: str) -> NamePattern:
        """Parse a pattern with one {name}, {stem} or {path}. Raises ValueError if it is invalid.

        text: a path relative to the file's folder, or, with {path}, to the source's folder.
        """
        parts = _HOLE.split(text)
        if len(parts) != 3 or re.search(r"[{}]", parts[0] + parts[2]):
            raise ValueError(f'needs one {HOLES}, as in "{{name}}.done"')
        before, hole, after = parts
        steps = text.split("/")
        if text.startswith("/") or not all(steps) or {".", ".."} & set(steps):
            raise ValueError("must be a path below the drop folder, without . and ..")
        if re.search(r"[*?\[\]\0]", text):
            raise ValueError(
                "must not contain *, ? or [ ]; for a gate that lists many files, set manifest"
            )
        if not before and after in ("", "."):
            raise ValueError("would be the file itself; add an ending or a folder")
        if hole == "path" and before.rpartition("/")[2]:
            raise ValueError('must have {path} right after a folder, as in "gates/{path}.done"')
        if "/" in after:
            raise ValueError(f"must have {{{hole}}} in its last part")
        return cls(before.encode(), hole, after.encode())

    @property
    def algorithm(self) -> str | None:
        """The digest algorithm of the gate, from the ending of its name; None if the gate contains no
        checksum."""
        ending = self.after.decode().lower().rpartition(".")[2].removesuffix("sum")
        return ending if ending in ALGORITHMS else None

    def gate_of(self, key: bytes) -> bytes:
        """Return the key of a file's gate.

        >>> NamePattern.of("ok/{stem}.done").gate_of(b"a/b.csv.gz")
        b'a/ok/b.done'
        """
        folder, slash, name = key.rpartition(b"/")
        if self.hole == "path":
            return self.before + key + self.after
        filled = name if self.hole == "name" else stem(name)
        return folder + slash + self.before + filled + self.after

    def is_gate(self, key: bytes) -> bool:
        return self._gates.fullmatch(key) is not None

    @cached_property
    def _gates(self) -> re.Pattern[bytes]:
        before, after = re.escape(self.before), re.escape(self.after)
        if self.hole == "path":
            return re.compile(before + rb".+" + after, re.DOTALL)
        return re.compile(rb"(.*/)?" + before + rb"[^/]+" + after, re.DOTALL)


def stem(name: bytes) -> bytes:
    """Return a name without an ending for compression, such as ".gz", and without the ending before it,
    such as ".csv".

    >>> stem(b"a.csv.gz"), stem(b"a.b.csv"), stem(b"a"), stem(b".csv")
    (b'a', b'a.b', b'a', b'.csv')
    """
    for packed in PACKED:
        if name.lower().endswith(packed) and len(name) > len(packed):
            name = name[: -len(packed)]
            break
    shorter = name.rpartition(b".")[0]
    return shorter or name


@dataclass(frozen=True)
class ManifestPattern:
    """A pattern for the names of manifests. If the pattern contains a slash, it is matched against the
    complete path, otherwise against the last part of the path."""

    text: str

    @classmethod
    def of(cls, text: str) -> ManifestPattern:
        """Parse a pattern. Raises ValueError if it is invalid."""
        if not text.strip("*?/. ") or text.startswith("/") or ".." in text.split("/"):
            raise ValueError('needs a pattern that matches only manifests, as in "*.manifest.json"')
        if _HOLE.search(text):
            raise ValueError(
                'a manifest lists many files; for one gate per file, set gate = "{name}.done"'
            )
        return cls(text)

    def is_gate(self, key: bytes) -> bool:
        name = composed(key.decode("utf-8", "surrogateescape"))
        name = name if "/" in self.text else name.rpartition("/")[2]
        return fnmatchcase(name.lower(), composed(self.text).lower())
