"""Converts between the date patterns of Unicode TR 35, which CSVW uses, and strptime formats."""

from __future__ import annotations

import re

_FIELDS = {
    "yyyy": "%Y", "y": "%Y", "yy": "%y", "MM": "%m", "M": "%m", "MMM": "%b", "MMMM": "%B", "dd": "%d",
    "d": "%d", "D": "%j", "DDD": "%j", "HH": "%H", "H": "%H", "hh": "%I", "h": "%I", "a": "%p",
    "mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "EEE": "%a", "EEEE": "%A",
    "X": "%z", "XX": "%z", "XXX": "%z", "x": "%z", "xx": "%z", "xxx": "%z", "Z": "%z",
}  # fmt: skip
_BACK = {
    "%Y": "yyyy", "%y": "yy", "%m": "MM", "%b": "MMM", "%B": "MMMM", "%d": "dd", "%e": "d", "%j": "DDD",
    "%H": "HH", "%I": "hh", "%p": "a", "%M": "mm", "%S": "ss", "%a": "EEE", "%A": "EEEE", "%z": "XXX",
    "%f": "SSSSSS",
}  # fmt: skip


def strptime(pattern: str) -> str:
    """Convert "dd.MM.yyyy HH:mm:ss.SSS" to "%d.%m.%Y %H:%M:%S" (%S accepts decimals).

    Raises ValueError if there is no strptime directive for a field of the pattern.

    >>> strptime("yyyy-MM-dd'T'HH:mmXXX")
    '%Y-%m-%dT%H:%M%z'
    """
    pattern = re.sub(r"(s)[.,]S+", r"\1", pattern)
    out = ""
    for quoted, field, sign in _tokens(pattern):
        if field:
            # a bare T between date and time is literal
            if field not in _FIELDS and field != "T":
                raise ValueError(f"{field!r} of a date pattern has no equivalent")
            out += _FIELDS.get(field, field)
        else:
            out += (quoted or sign).replace("%", "%%")
    return out


def _tokens(pattern: str) -> list[tuple[str, str, str]]:
    found = []
    for match in re.finditer(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|([^A-Za-z'])", pattern):
        quoted = "'" if match[0] == "''" else (match[1] or "").replace("''", "'")
        found.append((quoted, match[2] or "", match[4] or ""))
    return found


def pattern(known: str) -> str:
    """Convert a strptime format to a date pattern. Raises ValueError if date patterns have no field for a
    directive."""
    out = ""
    for directive, letters, sign in re.findall(r"(%.)|([A-Za-z']+)|([^A-Za-z'%])", known):
        if directive:
            if directive != "%%" and directive not in _BACK:
                raise ValueError(f"{directive} has no date pattern")
            out += _BACK.get(directive, "%")
        else:
            out += "'{}'".format(letters.replace("'", "''")) if letters else sign
    return out
