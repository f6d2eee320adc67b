"""The columns of one file, and the texts that a profile derives from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sensorflow.core.binding import unbound
from sensorflow.core.binding.binding import Extract, Text
from sensorflow.core.binding.fields import Field, find
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.binding.tags import tagged
from sensorflow.core.names import composed
from sensorflow.core.patterns import LINES, search
from sensorflow.core.profile import Profile
from sensorflow.core.profile.text_source import TEMPLATE, TextSource
from sensorflow.errors import Code, Permanent


class Columns:
    """The columns of a file. Converts the profile's references and text sources to column indexes and
    texts. header: titles of the time columns. placed: whether a text comes from the file's name or path, so
    that the binding is valid for this file only."""

    def __init__(
        self, profile: Profile, place: FilePath, fields: Sequence[Field], preamble: str
    ) -> None:
        self.profile, self.place = profile, place
        self.fields, self.preamble = fields, preamble
        self.header = ""
        self.placed = False

    def column(self, reference: str) -> int:
        """Return the index of the column. Raises Permanent COLUMN_MISSING."""
        found = find(reference, self.fields)
        if found is None:
            raise self.absent(reference)
        return found

    def matching(self, name: str) -> Iterable[int]:
        """Return the indexes of all columns that match `name`. The name may be a pattern, and it may match
        no column."""
        if name.startswith("~"):
            return [i for i, f in enumerate(self.fields) if search(name[1:], f.name)]
        place = find(name, self.fields)
        return [] if place is None else [place]

    def absent(self, reference: str) -> Permanent:
        names = ", ".join(repr(f.name) for f in self.fields)[:500]
        return Permanent(
            Code.COLUMN_MISSING,
            f"column {reference!r} is not in the header; found: {names or 'none'}",
            column=reference,
            do=unbound.advice(reference, [f.name for f in self.fields][:1000], self.profile),
        )

    def is_titled(self, source: TextSource) -> bool:
        """Return whether `source` is a template that refers to a group of the pattern for the titles of
        measured columns. In that case the titles contain a part of the time."""
        if not self.profile.each or source.template is None:
            return False
        groups = {"name", *(str(i) for i in range(1, 10)), *(f"row{i}" for i in range(1, 21))}
        groups -= {found.name for found in self.fields}
        groups |= {g for each in self.profile.each for g in re.compile(each.match).groupindex}
        return any(name in groups for name in TEMPLATE.findall(source.template))

    def text(self, source: TextSource | None) -> Text:
        if source is None:
            return Text()
        if source.column is not None:
            place = self.column(source.column)
            plain = source.match is None and source.default is None
            part = place if plain else Extract(place, source.match, source.default)
            return Text((part, *self._tags(source)))
        if source.constant is not None:
            return Text((source.constant,))
        if source.template is not None:
            return self.template(source.template, {})
        return text_of(self._searched(source))

    def _tags(self, source: TextSource) -> Iterable[str | Extract]:
        """Return the parts of the text ",title=cell,…" for the tag columns of `source`. The tags are sorted
        by title, so that the name of a series does not depend on the order of columns."""
        for place, title in tagged(source, self.profile, self.fields, self.matching):
            yield f",{title}="
            yield Extract(place, default="")

    def _searched(self, source: TextSource) -> str | None:
        """Search for the pattern of `source`. The pattern's key selects the text to search: the file's
        name, the path, the preamble or the header. Returns the first group, or None if `source` has no
        pattern. Raises Permanent if the pattern is not found."""
        for pattern, text in (
            (_composed(source.file_name), composed(self.place.file_name)),
            (_composed(source.path), composed(self.place.path)),
            (source.preamble, self.preamble),
            (source.header, self.header),
        ):
            if pattern is not None:
                self.placed |= source.file_name is not None or source.path is not None
                match = search(pattern, text, LINES)
                if match is None or not match[1]:
                    (where,) = source.model_dump(exclude_none=True)
                    what = f"the pattern {pattern!r} is not found in the {where.replace('_', ' ')}"
                    do = "correct the pattern in the profile, then replay"
                    if where in ("file_name", "path"):
                        do += "; or drop the file again under a name that matches"
                    raise Permanent(Code.COLUMN_MISSING, f"{what}: {text[:100]!r}", do=do)
                return match[1].strip()
        return None

    def template(self, template: str, known: Mapping[str, str]) -> Text:
        """Replace each {name} in a template. known: name -> text. A name that is not in `known` is a
        capture of the profile, or a column."""
        parts: list[str | int | Extract] = []
        for index, piece in enumerate(TEMPLATE.split(template)):
            if index % 2 == 0:
                parts += [piece] if piece else []
            elif piece in known:
                parts += [known[piece]] if known[piece] else []
            else:
                capture = self.profile.captures.get(piece)
                found = self.text(capture) if capture else Text((self.column(piece),))
                if not found.parts:
                    return Text()
                parts += found.parts
        return Text(tuple(parts))


def text_of(found: str | None) -> Text:
    """Return a `Text` with the constant `found`, or an empty `Text` if `found` is None or empty."""
    return Text((found,)) if found else Text()


def _composed(pattern: str | None) -> str | None:
    return None if pattern is None else composed(pattern)
