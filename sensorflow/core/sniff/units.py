"""Finds units in titles, such as "Temp (°C)", "POA [W/m²]", "Depth, ft" and "temp_degC"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sensorflow.core.sniff.table import Column

_UNITS = """
c f k degc degf deg.c deg.f celsius fahrenheit kelvin deg degree degrees degt degn
v mv mv/v volt volts a ma amp amps w kw mw wh kwh mwh va var kva kvar ohm ohms kohm hz khz mhz ghz
pa hpa kpa mpa mbar mb bar psi inhg mmhg hectopascal
m/s mps mph knots knot kn kt kts km/h kph m mm cm km in inch inches ft feet nmi meter meters metres
millimeter mm/h mm/hr in/hr m2 cm2 m3 m3/s m3/h m^3/s ft3/s cfs gal gpm mgal l ml l/s l/min
% %rh rh pct percent ppm ppb ppt psu mg/l ug/l ug/m3 ug/m-3 g/m3 g kg ug ntu fnu ph us/cm ms/cm s/m mol mmol
w/m w/m2 w/m^2 wm-2 j kj mj j/m2 mj/m2 lux lx klux umol umol/m2/s umol/s/m2
s sec secs second seconds min minute minutes h hr hours d days ms us yr mo dy mn
db dba dbm cps rpm counts count unitless n nm rn ts
"""
_WORDS = """
a c d f g h j k l m n s v w in min count counts days hours second seconds minute minutes mo dy ts rn mn yr
ph rh va var us ms ug mol hr sec deg degree gal kn kt knot ma
"""
UNITS = frozenset(_UNITS.split())
"""Known units in lower case. Other texts are units too if they are in brackets or contain a sign such as a
degree or percent sign."""
WORDS = frozenset(_WORDS.split())
"""Units that may also be words of a name. For example, "temp_min" is a minimum, not a number of minutes."""
_UNIT_TITLE = "units?|uom|unit_?code|unit_?of_?measure(ment)?|einheit"
_BESIDE = (
    re.compile(rf"(.+?)[ _.-]?(?:{_UNIT_TITLE})"),
    re.compile(rf"(?:{_UNIT_TITLE})[ _.-]?(.+)"),
    re.compile(rf"(.+\.)@?(?:{_UNIT_TITLE}|symbol)"),
)
_FAMILIES = (
    "c f k degc degf deg.c deg.f celsius fahrenheit kelvin °c °f",
    "pa hpa kpa mpa mbar mb bar psi inhg mmhg hectopascal atm",
    "m mm cm km in inch inches ft feet mi",
    "m/s mps mph knots knot kn kt kts km/h kph ft/s",
    "v mv kv",
    "a ma ua",
    "w kw mw",
    "wh kwh mwh j kj mj",
    "g kg mg ug",
    "l ml gal m3 ft3",
    "m3/s m^3/s ft3/s ft^3/s cfs gpm l/s l/min gal/min",
    "s sec second seconds ms min minutes h hours",
    "us/cm ms/cm s/m",
    "ppm ppb ug/m3 µg/m³ mg/m3",
    "% fraction",
)
"""Each entry lists units of the same quantity, in lower case."""
_ROW_UNITS = """
utc gmt degrees_north degrees_east degree_north degree_east degrees_true degree_true degree_c degrees_c
degree_celsius degrees_celsius degree_f degrees_f dbar decibar pss pss-78 its-90 nmol/kg umol/kg umol/l
nmol/l pmol/kg mmol/m3 1
"""
_ROW = frozenset(_ROW_UNITS.split())
_CF = re.compile(r"[a-zµ°%]{1,10}(\^?-?\d)?([ ./*][a-zµ]{1,10}(\^?-?\d)?)*[ ./*][a-zµ]{1,10}\^?-\d")
"""Matches units with exponents, such as m s-1, W m-2 and kg m-3."""
TITLE = 200
"""A title with more characters than this is not searched for a unit."""
LONGEST = 16
"""A text with more characters than this is not a unit, even if it contains a sign such as °."""


def unit_like(text: str) -> bool:
    bare = text.strip().strip("[]() ")
    signed = len(bare) <= LONGEST and re.search(r"[°%µ²³Ω]", bare) is not None
    return bare != text.strip() or signed or bare.lower().replace(" ", "") in UNITS


def in_row(text: str) -> bool:
    """Return whether a cell of a header row is a unit. Notations of the CF conventions and of
    oceanography are accepted too."""
    bare = text.strip().lower()
    return unit_like(text) or bare in _ROW or _CF.fullmatch(bare) is not None


def beside(columns: Iterable[Column], texts: Iterable[Column]) -> dict[Column, Column]:
    """Return column of numbers -> column that contains its units. The columns are matched by their
    names: "temp_unit" belongs to "temp", and "temp.unit" to "temp.value"."""
    named: dict[str, Column] = {}
    for column in texts:
        for match in filter(None, (p.fullmatch(column.reference.lower()) for p in _BESIDE)):
            named.setdefault(match[1], column)
    found = {c: _of(c.reference.lower(), named) for c in columns}
    return {column: unit for column, unit in found.items() if unit is not None}


def _of(reference: str, named: dict[str, Column]) -> Column | None:
    """Return the column of units for the column `reference`, or None if there is none. The column of units
    has a similar name, or is in the same object, or is an attribute of the same element."""
    inner, dot, _ = reference.rpartition(".")
    within = named.get(f"{inner}.") if dot else None
    return named.get(reference) or within or named.get(f"{reference}.")


def are_akin(units: Iterable[str]) -> bool:
    """Return whether all units may be units of one quantity, such as °C and °F. A unit that is not known
    may belong to any quantity."""
    named = {re.sub(r"^wmounit:", "", unit.strip().lower()) for unit in units} - {""}
    known = [{i for i, family in enumerate(_FAMILIES) if unit in family.split()} for unit in named]
    some = [families for families in known if families]
    return len(some) < 2 or bool(set.intersection(*some))


def split_unit(title: str) -> tuple[str, str]:
    """Split a title into (type, unit). The unit is "" if the title contains none."""
    if len(title) > TITLE:
        return title, ""
    title = re.sub(r"\s*\(\d{4,}\)$", "", title)  # without the serial number of the sensor
    match = re.fullmatch(r"(.+?)([\s_,]*)[(\[]([^()\[\]]*)[)\]]\s*:?", title)
    if match and _bracketed(match[3], bool(match[2])):
        return match[1].strip(), match[3].strip()
    match = re.fullmatch(r"(.+?)\s*,\s*([^,]{1,12})", title)
    if match and unit_like(match[2]):
        return match[1].strip(), match[2].strip()
    match = re.fullmatch(r"(.+?)[\s_./]+(\S{1,12})", title)
    if match and (re.search(r"[°%µ²³]", match[2]) or match[2].lower() in UNITS - WORDS):
        return title, match[2]
    return title, ""


def _bracketed(text: str, is_separate: bool) -> bool:
    """Return whether a text in brackets is a unit. is_separate: whether a space precedes the bracket.
    Without a space, the text may be part of the name, as in "G(i)"."""
    words = text.split()
    if len(words) == 1 and len(text) == 1 and text in "xyzihndg":
        return False
    if not is_separate or len(words) > 1:
        return any(unit_like(word) for word in words)
    return not re.search(r"\d{4,}", text)
