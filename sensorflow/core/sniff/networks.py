"""Recognizes files of station networks that have no meaningful titles. They are recognized by the
beginnings of their lines."""

from __future__ import annotations

import re
from dataclasses import replace

from sensorflow.core.sniff.guess import Guess, Line
from sensorflow.core.sniff.head import Text

_CRN = re.compile(r"\s*\d{5} \d{8} \d{4} \d{8} \d{4}\s+\S+\s+-?\d+\.\d+\s+-?\d+\.\d+ ")
_CRN_BEGIN = "WBANNO UTC_DATE UTC_TIME LST_DATE LST_TIME CRX_VN LONGITUDE LATITUDE"
_CRN_REST = {
    23: "AIR_TEMPERATURE PRECIPITATION SOLAR_RADIATION SR_FLAG SURFACE_TEMPERATURE ST_TYPE ST_FLAG "
    "RELATIVE_HUMIDITY RH_FLAG SOIL_MOISTURE_5 SOIL_TEMPERATURE_5 WETNESS WET_FLAG WIND_1_5 WIND_FLAG",
    38: "T_CALC T_HR_AVG T_MAX T_MIN P_CALC SOLARAD SOLARAD_FLAG SOLARAD_MAX SOLARAD_MAX_FLAG SOLARAD_MIN "
    "SOLARAD_MIN_FLAG SUR_TEMP_TYPE SUR_TEMP SUR_TEMP_FLAG SUR_TEMP_MAX SUR_TEMP_MAX_FLAG SUR_TEMP_MIN "
    "SUR_TEMP_MIN_FLAG RH_HR_AVG RH_HR_AVG_FLAG SOIL_MOISTURE_5 SOIL_MOISTURE_10 SOIL_MOISTURE_20 "
    "SOIL_MOISTURE_50 SOIL_MOISTURE_100 SOIL_TEMP_5 SOIL_TEMP_10 SOIL_TEMP_20 SOIL_TEMP_50 SOIL_TEMP_100",
}
"""Number of columns -> titles according to NOAA's headers.txt. The entries are for the subhourly and the
hourly product."""
_SRML = re.compile(r"(\d{4,6})\t(19|20)\d\d((\t\d{4}\t\d+)+)\s*")
_CRN_MISSING = ["-9999", "-99999", "-99"]


def recognised(text: Text) -> Guess | None:
    lines = [line for line in text.text.split("\n")[:60] if line.strip()]
    network = _crn(lines) or _srml(lines)
    return network and replace(network, settings=(*network.settings, *text.settings))


def _crn(lines: list[str]) -> Guess | None:
    """Return the proposal for a file of the U.S. Climate Reference Network. Return None for other files.
    The format is described in headers.txt at ncei.noaa.gov/pub/data/uscrn/products."""
    columns = _CRN_REST.get(len(lines[0].split()))
    if columns is None or not all(map(_CRN.match, lines)):
        return None
    names = f"{_CRN_BEGIN} {columns}".split()
    ignore = ["LST_DATE", "LST_TIME", "CRX_VN", "LONGITUDE", "LATITUDE", "~_FLAG$", "~_TYPE$"]
    reason = "U.S. Climate Reference Network of NOAA: the titles in its documentation"
    return Guess(
        (
            Line("format", "csv"),
            Line("delimiter", "whitespace"),
            Line("names", names, reason),
            Line("sensor", "WBANNO"),
            Line("missing", _CRN_MISSING, "from its documentation"),
            Line("ignore", ignore, "ignored: local time, place, flags"),
            Line("each", ".+"),
        ),
        (
            Line("columns", ["UTC_DATE", "UTC_TIME"]),
            Line("format", "%Y%m%d %H%M"),
            Line("zone", "UTC"),
        ),
    )


def _srml(lines: list[str]) -> Guess | None:
    """Return the proposal for a file of the Solar Radiation Monitoring Laboratory of Oregon
    (solardata.uoregon.edu). Return None for other files. The first line contains the station, the year,
    and a code for each pair of columns. The other lines begin with the day of the year and the time of
    day."""
    found = _SRML.fullmatch(lines[0])
    rows = [line.split("\t") for line in lines[1:20]]
    if found is None or not rows or {len(row) for row in rows} != {len(lines[0].split("\t"))}:
        return None
    codes = found[3].split("\t")[1::2]
    names = ["doy", "hhmm"]
    for index, code in enumerate(codes):
        name = code if codes.count(code) == 1 else f"{code}_{index + 1}"
        names += [name, f"{name}_flag"]
    year = {"preamble": r"\A\d+\t(\d{4})"}
    return Guess(
        (
            Line("format", "csv"),
            Line("delimiter", "\t"),
            Line("skip", 1, "the first line: station, year, and codes of the columns"),
            Line("names", names),
            Line("sensor", {"preamble": r"\A(\d+)"}, "the station"),
            Line("ignore", ["~_flag$"], "ignored: flags (99: missing, 12: good)"),
            Line("each", ".+"),
        ),
        (
            Line("columns", [year, "doy", "hhmm"], "the first line contains the year"),
            Line("format", "%Y %j %H%M"),
            Line("pad", [4, 3, 4]),
        ),
        needs_zone=True,
    )
