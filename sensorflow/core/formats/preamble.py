"""Reads the lines before the header of a text table, and the lines between two tables of a file."""

from __future__ import annotations

from sensorflow.core.formats import titles
from sensorflow.core.formats.cells import Splitting, display_text
from sensorflow.core.formats.lines import Lines
from sensorflow.core.patterns import compiled, found_in
from sensorflow.core.profile import Profile
from sensorflow.errors import DO, Code, Permanent

PREAMBLE = 1 << 16
"""Maximum number of characters before the header that are kept, for example to find the sensor in them."""


class NoHeader(Permanent):
    """Raised if the file ends before its header is complete."""

    def __init__(self, message: str, do: str = "") -> None:
        super().__init__(Code.UNREADABLE, message, do=do or None)

    def __reduce__(self) -> tuple[type[NoHeader], tuple[str, str]]:
        return (NoHeader, (self.message, self.place.get(DO, "")))


class Preamble:
    """Reads the lines before each table of a file.

    A file has several tables only if the profile has `header_again`. Some lines apply to all tables, and
    are added to each table's own lines. With `stop_at`, these are the lines above the first match of
    `stop_at`, if this match is above the first header; otherwise there are no such lines. Without
    `stop_at`, these are all lines before the first table, and later tables have no lines of their own.
    """

    def __init__(self, lines: Lines, profile: Profile, splitting: Splitting) -> None:
        self._lines, self._profile, self._splitting = lines, profile, splitting
        self._first = compiled(profile.skip_until) if profile.skip_until else None
        self._shared: list[str] = []
        self._tables = 0
        self.blank = True
        """Whether all lines that were read are blank, and the file has no other lines."""

    def read(self) -> str | None:
        """Return the lines before the next table: the lines before its header, or before its first row
        if it has no header. Returns None if there is no further table."""
        self._tables += 1
        own: list[str] = []
        several = self._profile.header_again
        stop = self._profile.stop_at is not None and several and self._tables == 1
        skipped = size = 0
        while (line := self._lines.peek()) is not None:
            text = display_text(line.raw)
            skip = self._profile.skip if self._tables == 1 else 0
            if skipped >= skip and (
                found_in(self._first, text, line.number) if self._first else not self._aside(text)
            ):
                break
            if stop and self._splitting.ends_table(line):
                self._shared, own, stop = own, [], False
            self._lines.next()
            self.blank &= not text.strip()
            skipped += 1
            size += len(text)
            if size <= PREAMBLE:
                own.append(text)
        self.blank &= line is None
        if line is None and self._first is not None:
            if self._tables > 1:
                return None
            what = f"no line matches skip_until = {self._profile.skip_until!r}"
            raise NoHeader(what, titles.UNMATCHED)
        if several and self._profile.stop_at is None and self._tables == 1:
            self._shared, own = own, []
        return "\n".join([*own, *self._shared])

    def _aside(self, text: str) -> bool:
        comment = self._profile.comment
        prefixed = comment is not None and text.startswith(comment)
        # a header of several rows may contain a row of empty cells
        blank = not text.strip()
        if titles.header_rows(self._profile) <= 1:
            blank = blank or self._splitting.blank(text.encode())
        return blank or (prefixed and not self._profile.header_prefix)
