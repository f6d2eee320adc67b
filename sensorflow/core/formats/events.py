"""Parses XML documents in bounded memory. Entities are not expanded, and external resources are not
read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from sensorflow.core.formats.encoding import Utf8Stream
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

BLOCK = 1 << 16


class Handler:
    """Base class of handlers for the events of the XML parser. It enforces the limits on nesting and on
    the length of texts. depth: the nesting depth of the open element."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.parser = expat.ParserCreate(
            "utf-8"
        )  # the text is UTF-8, whatever the document declares
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.depth = self._run = 0
        self.begun = False
        self.lines = self.bytes = 0
        """Numbers of blank lines and bytes that were removed from the beginning of the document."""

    @property
    def line(self) -> int:
        return self.lines + self.parser.CurrentLineNumber

    @property
    def offset(self) -> int:
        return self.parser.CurrentByteIndex

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self._run = 0
        if self.depth > self.profile.max_nesting:
            limit = self.profile.max_nesting
            do = "if the file is valid, raise max_nesting, then replay"
            what = f"nested deeper than {limit} levels"
            raise Permanent(Code.TOO_DEEP, what, do=do, line=self.line)
        for value in attributes.values():
            self.limited(len(value))
        self.start(name, attributes)

    def _end(self, name: str) -> None:
        self._run = 0
        self.end(name)
        self.depth -= 1

    def _text(self, data: str) -> None:
        self._run += len(data)
        self.limited(self._run)
        self.text(data)

    def limited(self, length: int) -> None:
        if length > self.profile.max_line:
            limit = self.profile.max_line
            what = f"a text is longer than {limit:,} bytes"
            do = "if the file is valid, raise max_line, then replay"
            raise Permanent(Code.LINE_TOO_LONG, what, do=do, line=self.line)

    def _doctype(self, name: str, *_: Any) -> None:
        raise Permanent(
            Code.DOCTYPE,
            f"the document declares a document type (<!DOCTYPE {name[:100]}>), which may define entities "
            "and refer to other files; such documents are refused",
            line=self.line,
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def end(self, name: str) -> None:
        raise NotImplementedError

    def text(self, data: str) -> None:
        raise NotImplementedError

    def fed(self, data: bytes) -> None:
        """Handle bytes before the parser processes them."""

    def checked(self) -> None:
        """Check the limits after the parser has processed a block of bytes."""


_INVALID = 4
_ENDED = (3, 5)
"""Error codes of expat. `_INVALID` is XML_ERROR_INVALID_TOKEN; `_ENDED` contains XML_ERROR_NO_ELEMENTS and
XML_ERROR_UNCLOSED_TOKEN."""


def parsed(stream: BinaryIO, profile: Profile, handler: Handler) -> Iterator[None]:
    """Parse a document, and call `handler` for each event. Yields after each block of bytes. Raises
    Permanent UNREADABLE if the document is not well-formed."""
    stream.seek(0)
    plain = Utf8Stream(stream, declared(stream, profile.encoding))
    given, last = 0, False
    parser = handler.parser
    while not last:
        data = plain.read(BLOCK)
        last = not data
        if not given:
            data, handler.lines, before = _bare(data)
            handler.bytes = plain.start + before
            if not data:
                continue
            handler.begun = True
        handler.fed(data)
        given += len(data)
        try:
            parser.Parse(data, last)
        except expat.ExpatError as error:
            raise _broken(error, handler, data) from error
        # a text that exceeds the limit must not be collected until its end
        if given - max(parser.CurrentByteIndex, 0) > 2 * (profile.max_line + len(data)):
            limit = profile.max_line
            what = f"a tag, comment or text is longer than {limit:,} bytes"
            raise Permanent(Code.LINE_TOO_LONG, what, line=handler.line)
        handler.checked()
        yield None


def _bare(data: bytes) -> tuple[bytes, int, int]:
    """Remove the blank lines before the document, because XML does not allow them. Returns (remaining
    bytes, number of removed lines, number of removed bytes)."""
    bare = data.lstrip()
    blank = data[: len(data) - len(bare)]
    return bare, blank.count(b"\n"), len(blank)


def _broken(error: expat.ExpatError, handler: Handler, data: bytes) -> Permanent:
    line = handler.lines + error.lineno
    what = f"not well-formed XML in line {line:,}, character {error.offset + 1:,}: "
    ended = "the document ends before its root element ends"
    what += ended if error.code in _ENDED else expat.ErrorString(error.code)
    do = None
    if error.code == _INVALID and not data.isascii():
        do = (
            'if the declared encoding is wrong, set encoding in the profile ("cp1252", '
            '"latin-1", …), then replay; if the file is broken, request it again from its sender'
        )
    return Permanent(Code.UNREADABLE, what, do=do, line=line)


_DECLARED = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")


def declared(stream: BinaryIO, encoding: str) -> str:
    """Return the encoding of a document without a byte-order mark. This is `encoding`, which the profile
    sets. If the profile sets UTF-8, the encoding in the XML declaration is used instead. Rewinds the
    stream."""
    head = stream.read(1024)
    stream.seek(0)
    if head.startswith(b"<\0"):
        return "utf-16-le"
    if head.startswith(b"\0<"):
        return "utf-16-be"
    match = _DECLARED.match(head)
    if codecs.lookup(encoding).name != "utf-8" or match is None:
        return encoding
    name = match[1].decode()
    if re.match(r"utf-?16|utf-?32|ucs-?[24]|iso-10646", name, re.IGNORECASE):
        return "utf-8"  # the declaration was readable as ASCII, so the document is not in this encoding
    try:
        "".encode(name)
    except (LookupError, UnicodeError):
        do = "set encoding in the profile (utf-8, cp1252, …), then replay"
        what = f"the document declares the unknown encoding {name[:50]!r}"
        raise Permanent(Code.UNREADABLE, what, do=do, line=1) from None
    return name
