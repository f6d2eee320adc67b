"""Time formats of profiles: converts formats to regular expressions, defines the epoch formats, and parses
offsets from UTC.

This module does not import Arrow, because the daemon parses settings with these functions and must not
import Arrow.
"""

from __future__ import annotations

import re
from functools import lru_cache

EPOCH_UNITS = {
    "epoch_s": 10**9,
    "epoch_ms": 10**6,
    "epoch_us": 10**3,
    "epoch_ns": 1,
    "epoch_m": 60 * 10**9,
    "epoch_h": 3600 * 10**9,
    "epoch_d": 86400 * 10**9,
}
"""Nanoseconds in one unit of each epoch format."""

EXCEL = "excel"
"""The format of spreadsheets: days since 30 December 1899 in local time (ECMA-376 part 1, 18.17.4, the 1900
system from March 1900 on)."""

DAYS_FROM = {
    EXCEL: ("1899-12-30", 0.0),
    "excel_1904": ("1904-01-01", 0.0),
    "matlab": ("1970-01-01", 719529.0),
    "mjd": ("1970-01-01", 40587.0),
    "julian": ("1970-01-01", 2440587.5),
}
"""Format -> (a date, the number of this date), for formats that count days of local time: Excel's 1900 and
1904 systems, MATLAB's datenum, the Modified Julian Date, and the Julian Date."""

NUMERIC = frozenset({*EPOCH_UNITS, *DAYS_FROM})

NAMED = {"decimal_year": "%.Y"}
"""Alternative names of formats."""

_SPACES = "[\\s\u00a0\u2009\u202f]"
"""Spaces of all widths, because the Unicode CLDR uses narrow spaces before AM and PM."""

_ISO = (
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2})(?::(?P<minute>\d{2}))?(?::(?P<second>\d{2}))?"
    r"(?:[.,](?P<lastpart>(?P<fraction>\d{1,9})\d*))?)?"
    r"\s*(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?"
)
_DIRECTIVES = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<year2>\d{2})",
    "m": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "e": r"\s?(?P<day>\d{1,2})",
    "j": r"(?P<yearday>\d{1,3})",
    "a": r"[^\W\d]{2,4}\.?",
    "A": r"[^\W\d]+",
    "b": r"(?P<monthname>[A-Za-z]{3})",
    "B": r"(?P<monthname>[A-Za-z]{3,9})",
    "H": r"(?P<hour>\d{1,2})",
    "I": r"(?P<hour12>\d{1,2})",
    "M": r"(?P<minute>\d{1,2})",
    "S": r"(?P<second>\d{1,2})",
    ".Y": r"(?P<years>\d{4}(?:[.,]\d*)?)",
    ".d": r"(?P<days>\d{1,2}(?:[.,]\d*)?)",
    ".j": r"(?P<yeardays>\d{1,3}(?:[.,]\d*)?)",
    ".H": r"(?P<hours>\d{1,2}(?:[.,]\d*)?|[.,]\d+)",
    ".M": r"(?P<minutes>\d{1,4}(?:[.,]\d*)?|[.,]\d+)",
    ".S": r"(?P<second>\d{1,5})(?:[.,](?P<fraction>\d{1,9})\d*)?",
    "f": r"(?P<fraction>\d{1,9})",
    "p": f"(?P<half>[AaPp](?:\\.?{_SPACES}?[Mm]\\.?)?)",
    "z": r"(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)",
    "Z": r"(?P<abbreviation>[A-Za-z]{1,6})",
    "%": "%",
}
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "j": 3, "H": 2, "I": 2, "M": 2, "S": 2}
"""Directive -> number of digits that it must have if it is directly before or after another directive,
without a separator."""

_LOCAL = {
    "a": r"[^\s\d,]+",
    "A": r"[^\s\d,]+",
    "b": r"(?P<monthname>[^\s\d,/_-]{2,}?\.?)",
    "B": r"(?P<monthname>[^\s\d,/_-]{2,}?\.?)",
    "p": rf"(?P<half>[^\s\d]+(?:{_SPACES}[^\s\d]+)?)",
}
"""Regular expressions of the directives for names, used if the profile sets a language."""


@lru_cache(maxsize=256)
def pattern(fmt: str, locale: str | None = None) -> str:
    """Return the regular expression of a format. Raises ValueError if the format contains an unknown
    directive.

    The directives are those of strptime in C, with %f as in Python: %Y %y %m %d %e %j %b %B %a %A %H %I %M
    %S %f %p %z %Z %%. %f matches one to nine digits, so nanoseconds are preserved. A day has one or two
    digits, but directives without a separator (%Y%m%d) have their full width. %.Y, %.j, %.d, %.H, %.M and
    %.S allow decimals, and must be the last part of a time.

    locale: the language of the names for %b, %B and %p; None for English.
    """
    if fmt == "iso8601":
        return rf"^\s*{_ISO}\s*$"
    fmt = NAMED.get(fmt, fmt)
    parts = re.findall(r"%\.?-?.?|[^%]", fmt, re.DOTALL)
    names = [part.replace("-", "")[1:] if part[0] == "%" else "" for part in parts]
    out = ""
    for index, (part, name) in enumerate(zip(parts, names, strict=True)):
        if part[0] != "%":
            out += f"{_SPACES}+" if part == " " else re.escape(part)
        elif name not in _DIRECTIVES:
            raise ValueError(f"unknown directive %{name} in the time format {fmt!r}")
        else:
            neighbours = (*names[max(index - 1, 0) : index], *names[index + 1 : index + 2])
            is_adjacent = name in _WIDTHS and any(n in _WIDTHS for n in neighbours)
            regex = _LOCAL.get(name, _DIRECTIVES[name]) if locale else _DIRECTIVES[name]
            if name == "S" and not re.match(r"[.,]|%[^zZp]", "".join(parts[index + 1 :])):
                regex += "" if "%f" in parts else r"(?:[.,](?P<fraction>\d{1,9})\d*)?"
            out += (
                re.sub(r"\{\d(,\d)?\}", f"{{{_WIDTHS[name]}}}", regex, count=1)
                if is_adjacent
                else regex
            )
    try:
        groups = re.compile(out).groupindex
    except re.error as error:
        raise ValueError(f"a directive occurs twice in the time format {fmt!r}") from error
    _check(fmt, frozenset(groups))
    return rf"^\s*{out}\s*$"


_FINER = frozenset(("years", "days", "yeardays", "hours", "minutes"))
"""Names of the groups that may have decimals."""
_UNITS = (
    {"years"},
    {"month", "monthname", "day", "days", "yearday", "yeardays"},
    {"hour", "hour12", "hours"},
    {"minute", "minutes"},
    {"second"},
)


def _check(fmt: str, groups: frozenset[str]) -> None:
    """Raise ValueError if the parts of a format do not fit together, for example if a part occurs twice, or
    if the year is missing."""
    if not groups & {"year", "year2", "years"}:
        raise ValueError(f"the time format {fmt!r} has no year: %Y or %y")
    if ("hour12" in groups) != ("half" in groups):
        raise ValueError(
            f"%I and %p require each other, but {fmt!r} has only one of them; for hours 0 to 23 use %H"
        )
    if groups & {"yearday", "yeardays"} and groups & {"day", "days", "month", "monthname"}:
        raise ValueError(f"%j cannot be combined with month or day, as in the time format {fmt!r}")
    if len(groups & {"day", "days", "yearday", "yeardays"}) > 1 or len(groups & _UNITS[2]) > 1:
        raise ValueError(f"a part of the time occurs twice in the time format {fmt!r}")
    for place, unit in enumerate(_UNITS):
        decimals = groups & unit & _FINER
        finer = set().union({"fraction"}, *_UNITS[place + 1 :])
        if decimals and (groups & finer):
            raise ValueError(
                f"a part with decimals must be the last part of a time, but {fmt!r} has later parts"
            )


def check_format(fmt: str, locale: str | None = None) -> None:
    """Raise ValueError if `fmt` is not a valid format."""
    if fmt not in NUMERIC:
        pattern(fmt, locale)


def date(text: str) -> bool:
    """Return whether `text` is a date in ISO 8601, with or without a time."""
    return re.search(pattern("iso8601"), text) is not None


@lru_cache(maxsize=64)
def fixed_offset(zone: str) -> int | None:
    """Return a fixed offset in nanoseconds east of UTC: "+01:00", "-0430", "Z", "UTC", "GMT-5" or "-5.0"
    (hours). Returns None for other texts, such as names of zones."""
    text = zone.strip()
    if text in ("Z", "UTC", "GMT"):
        return 0
    match = re.fullmatch(r"(?:UTC|GMT)?\s*([+-]?)(\d{1,2})(?::?(\d{2})|(\.\d{1,2}))?", text)
    if not match or int(match[2]) > 23 or int(match[3] or 0) > 59:
        return None
    minutes = int(match[2]) * 60 + int(match[3] or 0) + round(float(match[4] or 0) * 60)
    return (-1 if match[1] == "-" else 1) * minutes * 60 * 10**9
