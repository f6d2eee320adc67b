"""Finds the name of a sensor in a file's name. Dates and counters in the file's name are not part of the
sensor's name."""

from __future__ import annotations

import re
from dataclasses import replace

from sensorflow.core.sniff.guess import Guess, Line

WHOLE_NAME = r"^(.+?)(?:\.[^.]*)?(?:\.gz)?$"
"""Matches a name without its extension."""
_MONTH = (
    "(?:[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]a[yi]|[Jj]u[nl]|[Aa]ug|[Ss]ep|[Oo][ck]t|[Nn]ov|[Dd]e[cz])"
)
_DATES = (
    rf"(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2]|{_MONTH})(?:[-_.]?(?:0[1-9]|[12]\d|3[01]))?(?!\d{{1,3}}(?!\d))",
    rf"[0-3]?\d[-_.](?:[01]?\d|{_MONTH}[a-z]*)[-_.](?:19|20)\d\d(?!\d)",
    r"[0-3]\d(?:0[1-9]|1[0-2])20[0-4]\d(?!\d)",
    rf"{_MONTH}[a-z]*[-_. ]?(?:19|20)\d\d(?!\d)",
    r"(?:19|20)\d\d(?!\d)(?=[^A-Za-z]*(?:[A-Za-z0-9]{1,5})?$)",
)
_END = r"(?:\.[^.]*)?(?:\.gz)?$"
_PLAIN = (
    r"^(.+?)[-_ .]+20\d\d",
    r"^(.+?)[-_ .]*20\d\d",
    r"^(.+?)[-_ .]+\d\d?[-_.]\d\d?[-_.]\d",
    rf"^[-_ .\dTZ]+(.+?){_END}",
)
"""Simple patterns. One of them is proposed if it matches the same part of the name."""
_COPY = r"(?: ?\(\d+\)| ?- ?Copy|_copy\d*)"
_GENERIC = (
    r"(?i)^(data|log|datalog|datalogger|logger|file|export|download|test|readings?|report|history|output|rec|record"
    r"|records|gpslog|measurements?|messwerte|daten|values?|sensor|sample|dump|untitled|results?|tbl|table|raw"
    r"|processed|minute|hourly|daily|day|hour|produkt|messung|session|capture|chart|query|timeseries)s?$"
)
"""Names that do not identify a sensor."""
_DEVICE = "(?i)^(sensor|(data)?logger|session)$"
"""Names that identify a sensor only together with a number."""
DOUBT = "the file's name does not identify a sensor"


def sensor(name: str) -> tuple[Line, str]:
    """Return (line for the profile key `sensor`, question for the user or ""). name: the file's name, ""
    if unknown."""
    bare = re.sub(r"(?:\.[^.\d][^.]*)?(?:\.(?:gz|bz2|xz|zst|zip))?$", "", name)
    for date in _DATES if bare else ():
        for pattern in (rf"^(.+?)[-_ .]*(?<!\d){date}", rf"^{date}[-_ .\dTZ]*(.+?){_END}"):
            found = re.match(pattern, bare)
            if found and _is_informative(found[1]):
                reason = f"the file's name without its date: {found[1]!r}"
                return Line("sensor", {"file_name": _plain(pattern, found[1], name)}, reason), ""
        if re.search(rf"(?<!\d){date}", bare):
            return _unknown("it contains only a date and general words")
    counted = re.match(r"^([A-Za-z_ -]+?)[-_ ]*\d{1,6}$", bare)
    if counted and re.match(_GENERIC, counted[1]) and not re.match(_DEVICE, counted[1]):
        return _unknown("it contains only a general word and a number")
    if re.search(rf"{_COPY}$", bare):
        pattern = rf"^(.+?){_COPY}*{_END}"
        return Line("sensor", {"file_name": pattern}, "the file's name, without copy suffixes"), ""
    return Line(
        "sensor",
        {"file_name": WHOLE_NAME},
        "the file's name, because no column contains the sensor",
    ), ""


def _plain(pattern: str, part: str, name: str) -> str:
    found = ((plain, re.match(plain, name)) for plain in _PLAIN)
    return next((plain for plain, match in found if match and match[1] == part), pattern)


def called(guess: Guess, name: str) -> Guess:
    """Return the proposal with the name of the source as the sensor, if the file does not identify the
    sensor. Otherwise return the proposal unchanged. name: the source's name."""
    todo = tuple(text for text in guess.todo if not text.startswith(DOUBT))
    if todo == guess.todo:
        return guess
    line = Line(
        "sensor",
        {"constant": name},
        "the source's name, because neither a column nor the file's name contains the sensor",
    )
    settings = tuple(line if each.key == "sensor" else each for each in guess.settings)
    return replace(guess, settings=settings, todo=todo)


def _is_informative(part: str) -> bool:
    """Return whether a part of a file's name may identify a sensor."""
    words = [w for w in re.split(r"[-_ .]+", part) if w]
    return any(not re.match(_GENERIC, w) and not re.fullmatch(r"[-_.\d]{0,2}|T", w) for w in words)


def _unknown(reason: str) -> tuple[Line, str]:
    doubt = f"{DOUBT}, because {reason}: put the sensor's name in place of 'logger', "
    doubt += 'as in sensor = { constant = "roof" }'
    message = f"neither a column nor the file's name contains the sensor: {reason}"
    return Line("sensor", {"constant": "logger"}, message), doubt
