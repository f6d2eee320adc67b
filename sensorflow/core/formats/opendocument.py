"""Measures the size of an OpenDocument spreadsheet before a library loads it. A small file can contain a
very large sheet, because a cell may be stored once with a number of repetitions."""

from __future__ import annotations

import zipfile

from defusedxml import ElementTree

TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
VALUE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}value-type"
CONTENT = "content.xml"
TEXT = 100
"""A text counts as one additional cell per this number of characters."""


def area(archive: zipfile.ZipFile) -> int:
    """Return the number of cells in the document: the sum of the bounding rectangles of all tables
    (OpenDocument 1.2 part 1, 9.1). A long text counts as several cells. Returns 0 if the archive is not
    an OpenDocument file."""
    if CONTENT not in archive.namelist():
        return 0
    total = height = width = down = 0
    with archive.open(CONTENT) as xml:
        across = filled = long = 0
        for event, element in ElementTree.iterparse(xml, ("start", "end")):
            if event == "start":
                if element.tag == f"{TABLE}table-row":
                    across = filled = long = 0
                continue
            if element.tag in (f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                repeated = int(element.get(f"{TABLE}number-columns-repeated", "1"))
                across += repeated
                text = sum(len(part) for part in element.itertext())
                if text or element.get(VALUE):
                    filled = across
                    long += repeated * (text // TEXT)
            elif element.tag == f"{TABLE}table-row":
                repeated = int(element.get(f"{TABLE}number-rows-repeated", "1"))
                down += repeated
                total += repeated * long
                if filled:
                    height, width = down, max(width, filled)
                element.clear()
            elif element.tag == f"{TABLE}table":
                total, height, width, down = total + height * width, 0, 0, 0
                element.clear()
    return total + height * width
