"""How gates are called: by the name of their file, or by a pattern of their own."""

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
    """The gate of one file. text: a path relative to the file's folder, or with {path} to the source's,
    with one {name}, {stem} or {path}. Make it by `of`."""

    before: bytes
    hole: str
    after: bytes

    @classmethod
    def of(cls, text: str) -> NamePattern:
        """Raises ValueError."""
        parts = _HOLE.split(text)
        if len(parts) != 3 or re.search(r"[{}]", parts[0] + parts[2]):
            raise ValueError(f'needs one {HOLES}, as in "{{name}}.done"')
        before, hole, after = parts
        steps = text.split("/")
        if text.startswith("/") or not all(steps) or {".", ".."} & set(steps):
            raise ValueError("is a path below the drop folder, without . and ..")
        if re.search(r"[*?\[\]\0]", text):
            raise ValueError("must not contain *; for one gate for many files, set manifest")
        if not before and after in ("", "."):
            raise ValueError("would match the file itself; add an ending or a folder")
        if hole == "path" and before.rpartition("/")[2]:
            raise ValueError('has {path} after a folder, as in "gates/{path}.done"')
        if "/" in after:
            raise ValueError(f"{{{hole}}} stands in its last part")
        return cls(before.encode(), hole, after.encode())

    @property
    def algorithm(self) -> str | None:
        """By which digest the gate says that the bytes are right; None where it says nothing."""
        ending = self.after.decode().lower().rpartition(".")[2].removesuffix("sum")
        return ending if ending in ALGORITHMS else None

    def gate_of(self, key: bytes) -> bytes:
        """The key of a file's gate.

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
    """A name without its ending, nor that of its compression.

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
    """Manifests: by the last part of their path, or by all of it where the pattern has a slash."""

    text: str

    @classmethod
    def of(cls, text: str) -> ManifestPattern:
        """Raises ValueError."""
        if not text.strip("*?/. ") or text.startswith("/") or ".." in text.split("/"):
            raise ValueError('give a pattern that matches only manifests, as in "*.manifest.json"')
        if _HOLE.search(text):
            raise ValueError(
                'a manifest covers many files; for one gate per file set gate = "{name}.done"'
            )
        return cls(text)

    def is_gate(self, key: bytes) -> bool:
        name = composed(key.decode("utf-8", "surrogateescape"))
        name = name if "/" in self.text else name.rpartition("/")[2]
        return fnmatchcase(name.lower(), composed(self.text).lower())
