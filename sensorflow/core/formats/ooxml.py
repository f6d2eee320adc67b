"""Reads Office Open XML workbooks (ECMA-376): finds the parts of a workbook in its zip archive, and reads
the rows of a sheet in slices.

calamine reads each slice as a separate workbook with all shared strings and styles. Only one slice is in
memory at a time.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import IO, BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

import python_calamine as calamine
from defusedxml import ElementTree

from sensorflow.core.formats.sheetcells import Row, chosen, numbered
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

MAX_BYTES = 64 << 20
"""Maximum size in bytes of a slice, of the XML before the first row, and of the shared strings to which the
cells of a slice may refer (a string counts once for each cell)."""
SMALL = 4 << 20
"""Maximum size in bytes of a part that lists other parts."""
SLICE = 4 << 20
AREA = 3_000_000
"""Maximum number of cells in the bounding rectangle of a slice. calamine allocates memory for all of
them."""
ROWS_OF_A_SHEET = 1_048_576


class Package(NamedTuple):
    """The parts of a workbook that are needed to read one sheet. sheet: the path of the sheet's part.
    texts: the shared strings, b"" if there are none. styles: the styles, None if there are none.
    from_1904: whether dates count from 1904."""

    sheet: str
    texts: bytes
    styles: bytes | None
    from_1904: bool


def rows(archive: zipfile.ZipFile, profile: Profile) -> Iterator[Row]:
    """Yield the rows of the sheet that the profile selects. Rows without any cell may be omitted."""
    package = _package(archive, profile)
    book = _Book(package)
    size = min(max(SLICE, 4 * len(package.texts)), MAX_BYTES)
    after = 0
    with archive.open(package.sheet) as xml:
        for piece in _pieces(xml, size, profile):
            for found in book.rows(piece, after):
                yield from found
                after = found[-1][0]


def is_package(archive: zipfile.ZipFile) -> bool:
    """Return whether the archive is a workbook in XML. Binary workbooks (.xlsb) have the same package
    structure, but their parts are not XML."""
    if "_rels/.rels" not in archive.namelist():
        return False
    main = _targets(archive, "").get("officeDocument", {})
    return any(path.lower().endswith(".xml") for path in main.values())


def _targets(archive: zipfile.ZipFile, part: str) -> dict[str, dict[str, str]]:
    """Return the relations of a part: relation type -> relation id -> path of the other part."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    if path not in archive.namelist():
        return {}
    found: dict[str, dict[str, str]] = {}
    for each in _parsed(archive, path):
        kind = str(each.get("Type")).rpartition("/")[2]
        target = str(each.get("Target"))
        target_path = posixpath.normpath(posixpath.join("/", folder, target)).removeprefix("/")
        found.setdefault(kind, {})[str(each.get("Id"))] = target_path
    return found


def _parsed(archive: zipfile.ZipFile, path: str) -> Element:
    """Return the root element of a small part. Raises Permanent if the part is too large."""
    if (size := archive.getinfo(path).file_size) > SMALL:
        what = f"{path} in the spreadsheet has {size:,} bytes, the limit is {SMALL:,}"
        raise Permanent(Code.TOO_LARGE, what, do="save the table as CSV")
    with archive.open(path) as xml:
        root = ElementTree.parse(xml).getroot()
    if root is None:
        raise ValueError(f"{path} is empty")
    return root


def names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the sheets, in order."""
    return list(_sheets(_parsed(archive, _main(archive))))


def _main(archive: zipfile.ZipFile) -> str:
    """Return the path of the part that lists the sheets."""
    return next(iter(_targets(archive, "")["officeDocument"].values()))


def _sheets(main: Element) -> dict[str, str]:
    """Return sheet name -> relation id."""
    return {str(e.get("name")): _id(e.attrib) for e in main.iter() if e.tag.endswith("}sheet")}


def _package(archive: zipfile.ZipFile, profile: Profile) -> Package:
    main = _main(archive)
    book = _parsed(archive, main)
    properties = [e for e in book.iter() if e.tag.endswith("}workbookPr")]
    from_1904 = any(e.get("date1904") in ("1", "true", "on") for e in properties)
    ids = _sheets(book)
    name = chosen(list(ids), profile)
    targets = _targets(archive, main)
    sheet = targets.get("worksheet", {}).get(ids[name])
    if sheet is None:
        do = "set sheet in the profile to a sheet that contains a table, then replay"
        raise Permanent(Code.UNREADABLE, f"{name!r} is not a worksheet", do=do)

    kinds = ("sharedStrings", "styles")
    paths = {kind: next(iter(targets.get(kind, {}).values()), "") for kind in kinds}
    _check_parts(archive, paths, profile)
    names = archive.namelist()
    parts = {kind: archive.read(path) for kind, path in paths.items() if path in names}
    return Package(sheet, parts.get("sharedStrings", b""), parts.get("styles"), from_1904)


def _check_parts(archive: zipfile.ZipFile, paths: dict[str, str], profile: Profile) -> None:
    size = sum(i.file_size for i in archive.infolist() if i.filename in paths.values())
    if size > (limit := int(profile.max_parts)):
        what = f"the texts and styles of the spreadsheet have {size:,} bytes, which must fit in memory; "
        what += f"max_parts allows {limit:,}"
        do = "if the file is valid, raise max_parts, then replay"
        raise Permanent(Code.TOO_LARGE, what, do=do)


def _id(attributes: dict[str, str]) -> str:
    """Return the relation id in an element's attributes. The namespace of this attribute differs between
    strict and transitional documents."""
    return next((text for name, text in attributes.items() if name.endswith("}id")), "")


SHORTEST = 4
"""Minimum size of a cell in bytes."""


class _Piece(NamedTuple):
    """Some rows of a sheet as XML. open: the XML before the sheet's first row. close: the closing tags
    after the sheet's last row."""

    open: bytes
    rows: bytes
    close: bytes


_DATA = re.compile(rb"<(\w+:)?sheetData\b[^<>]*>")
_ROW_END = re.compile(rb"</(?:\w+:)?row\s*>|<(?:\w+:)?row\b[^<>]*/>")
_COLUMN = re.compile(rb' r="([A-Z]{1,3})[0-9]')
_LINE = re.compile(rb' r="[A-Z]{0,3}([0-9]+)"')
# without such a cell, the rectangle has at most 2,600,000 cells, fewer than AREA
_FAR_CELL = re.compile(rb' r="(?:[A-Z]{2}|[A-Z]?[0-9]{6})')
_TAG = re.compile(rb"<[^<>]*>")
_SPACES = re.compile(rb"\s+(?=\w+(?::\w+)?\s*=)")
_QUOTED = re.compile(rb"""\s*=\s*(?:"([^"]*)"|'([^'"]*)')""")
_UNUSUAL = re.compile(rb"=\s*'|\s=|=\s|[\t\r\n]\w+=")
_DIGITS = re.compile(rb">-?[0-9]{16,}<")
_ERROR = re.compile(rb'(<(?:\w+:)?c\b[^<>]*) t="e"')
_LONG = re.compile(
    rb'<((?:\w+:)?c)((?:\s\w+="[^"<>]*"){0,9})'
    rb"(>(?:<(?:\w+:)?f\b[^<]*</(?:\w+:)?f>)?<(?:\w+:)?v>-?[0-9]{16,}<)"
)


def _pieces(xml: IO[bytes], size: int, profile: Profile) -> Iterator[_Piece]:
    """Split the XML of a worksheet between rows (ECMA-376 part 1, 18.3.1.73 and 18.3.1.80). size: number
    of bytes to read at a time."""
    buffered = xml.read(size)
    begin = _DATA.search(buffered)
    if begin is None:
        while not begin and len(buffered) < MAX_BYTES and (more := xml.read(size)):
            buffered += more
            begin = _DATA.search(buffered)
        if begin is None:
            raise ValueError("a sheet without sheetData")
    prefix, opened = begin[1] or b"", buffered[: begin.end()]
    if begin[0].endswith(b"/>"):
        return
    close = b"</" + prefix + b"sheetData></" + prefix + b"worksheet>"
    last = b"</" + prefix + b"sheetData>"
    buffered = buffered[begin.end() :]
    while True:
        end = buffered.find(last)
        data = buffered if end < 0 else buffered[:end]
        if b"<!" in data:
            raise ValueError("comments and CDATA sections between cells are not supported")
        if end >= 0:
            yield from _small(_Piece(opened, _usual(data), close))
            return
        cut = _last_row(data)
        if cut:
            yield from _small(_Piece(opened, _usual(data[:cut]), close))
            buffered = data[cut:]
        elif len(buffered) > max(int(profile.max_record), size):
            what = f"a row of the sheet is longer than {int(profile.max_record):,} bytes"
            raise Permanent(Code.LINE_TOO_LONG, what)
        more = xml.read(size)
        if not more:
            raise EOFError("the sheet is truncated")
        buffered += more


def _last_row(data: bytes) -> int:
    """Return the offset after the last complete row, or 0 if no row is complete."""
    for before in (1 << 14, 1 << 18, len(data)):
        start = max(len(data) - before, 0)
        ends = [match.end() for match in _ROW_END.finditer(data, start)]
        if ends:
            return ends[-1]
    return 0


def _usual(rows: bytes) -> bytes:
    """Return the rows with attributes in the form that most writers produce: one space before each
    attribute, and double quotes around its value."""
    signs = (b"'", b"\t", b"\n", b"\r", b"= ", b" =")
    if not any(sign in rows for sign in signs) or not _UNUSUAL.search(rows):
        return rows
    return _TAG.sub(lambda tag: _QUOTED.sub(_in_quotes, _SPACES.sub(b" ", tag[0])), rows)


def _in_quotes(found: re.Match[bytes]) -> bytes:
    return b'="' + (found[1] if found[1] is not None else found[2]) + b'"'


def _small(piece: _Piece) -> Iterator[_Piece]:
    """Split a piece until the bounding rectangle of its cells is small enough for calamine to load."""
    if _FAR_CELL.search(piece.rows) is None:
        yield piece
        return
    lines = {int(line) for line in set(_LINE.findall(piece.rows))}
    columns = set(_COLUMN.findall(piece.rows))
    if not lines:
        yield piece
        return
    _check_rows(max(lines))
    numbered_all = len(lines) >= len(_ROW_END.findall(piece.rows))
    first = (
        min(lines) if numbered_all else 1
    )  # a row without a number may be the first row of the sheet
    width = max(map(_index, columns), default=len(piece.rows) // SHORTEST)
    if (max(lines) - first + 1) * width <= AREA or (numbered_all and len(lines) == 1):
        yield piece
        return
    middle = _ROW_END.search(piece.rows, len(piece.rows) // 2)
    cut = middle.end() if middle else 0
    if not cut or not piece.rows[cut:].strip():
        cut = _last_row(piece.rows[: len(piece.rows) // 2])
    if not cut:
        raise ValueError("cells of one row refer to different rows")
    yield from _small(piece._replace(rows=piece.rows[:cut]))
    yield from _small(piece._replace(rows=piece.rows[cut:]))


def _check_rows(last: int) -> None:
    if last > ROWS_OF_A_SHEET:
        what = f"a sheet has at most {ROWS_OF_A_SHEET:,} rows"
        raise Permanent(Code.UNREADABLE, what, line=ROWS_OF_A_SHEET + 1)


def _texts_of(rows: bytes) -> bytes:
    """Return the rows with some cells converted to texts: errors, which calamine would omit, and
    integers that a double cannot represent, which calamine would round."""
    if b't="e"' in rows:
        rows = _ERROR.sub(rb'\1 t="str"', rows)
    if _DIGITS.search(rows):
        rows = _LONG.sub(_long, rows)
    return rows


def _long(cell: re.Match[bytes]) -> bytes:
    """Convert a cell with a long integer to a text. A cell that already has another type is unchanged."""
    attributes = cell[2].replace(b' t="n"', b"")
    if b" t=" in attributes:
        return cell[0]
    return b'<%b%b t="str"%b' % (cell[1], attributes, cell[3])


def _index(letters: bytes) -> int:
    """Return the number of a column from its letters: 1 for A, 26 for Z, 27 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def _relations(*targets: tuple[str, str]) -> str:
    found = (
        f'<Relationship Id="r{i}" Type="{_KIND}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_RELATIONS}">{"".join(found)}</Relationships>'


_MAIN_PART = (
    f'<workbook xmlns="{_MAIN}" xmlns:r="{_KIND}"><workbookPr{{}}/>'
    '<sheets><sheet name="1" sheetId="1" r:id="r1"/></sheets></workbook>'
)


class _Book:
    """A workbook with one sheet. It gives calamine the rows of one piece at a time."""

    def __init__(self, package: Package) -> None:
        dates = ' date1904="1"' if package.from_1904 else ""
        parts = [("worksheet", "sheet.xml")]
        self._beside: list[tuple[str, str | bytes]] = [
            ("_rels/.rels", _relations(("officeDocument", "xl/workbook.xml"))),
            ("xl/workbook.xml", _MAIN_PART.format(dates)),
        ]
        if package.styles is not None:
            parts.append(("styles", "styles.xml"))
            self._beside.append(("xl/styles.xml", package.styles))
        if package.texts:
            parts.append(("sharedStrings", "sharedStrings.xml"))
            self._beside.append(("xl/sharedStrings.xml", package.texts))
        self._beside.append(("xl/_rels/workbook.xml.rels", _relations(*parts)))
        self._longest = _longest(package.texts)

    def rows(self, piece: _Piece, after: int) -> Iterator[list[Row]]:
        """Yield the rows of a piece. after: the number of the row before the piece."""
        for part in self._short(piece):
            if found := self._rows(part, after):
                yield found
                after = found[-1][0]

    def _short(self, piece: _Piece) -> Iterator[_Piece]:
        """Split a piece if its cells refer to so many long shared strings that they may not fit in
        memory."""
        texts = piece.rows.count(b't="s"')
        cut = 0
        if texts > 1 and texts * self._longest > MAX_BYTES:
            cut = _last_row(piece.rows[: len(piece.rows) // 2])
        if not cut:
            yield piece
            return
        yield from self._short(piece._replace(rows=piece.rows[:cut]))
        yield from self._short(piece._replace(rows=piece.rows[cut:]))

    def _rows(self, piece: _Piece, after: int) -> list[Row]:
        xml = _texts_of(piece.rows)
        file = self._file(piece.open + xml + piece.close)
        with calamine.CalamineWorkbook.from_filelike(file) as book:
            sheet = book.get_sheet_by_index(0)
            if sheet.start is None:
                return []
            first = sheet.start[0] + 1
            if _LINE.search(xml) is None:  # rows without numbers directly follow the previous row
                first += after
            if first <= after:
                raise ValueError(f"row {first} follows row {after}")
            found = numbered(sheet, first)
        _check_rows(found[-1][0])
        return found

    def _file(self, xml: bytes) -> BinaryIO:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, data in self._beside:
                archive.writestr(name, data)
            archive.writestr("xl/sheet.xml", xml)
        out.seek(0)
        return out


def _longest(texts: bytes) -> int:
    """Return the size in bytes of the longest shared string."""
    longest = last = 0
    for match in re.finditer(rb"</(?:\w+:)?si>", texts):
        longest, last = max(longest, match.end() - last), match.end()
    return longest
