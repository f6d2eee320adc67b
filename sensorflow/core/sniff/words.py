"""Regular expressions for words in the titles of columns. They are matched without regard to case."""

from __future__ import annotations

_TIMES = (
    "time date datetime timestamp ts t_?stamp utc gmt epoch unix zeit zeitstempel datum fecha hora heure "
    "horodatage tid dato data ora when jour tijd tijdstip"
)
_SENSORS = (
    "sensors? device station site logger node serial probe mote unit_?id meter nmi mac eui location entity "
    "host tag asset stn stid sid buoy well point channel_?id thing gateway source_?id id name topic "
    "instance standort estacion boitier item indicativo locatie locatie_code meetpunt"
)
_KINDS = (
    "type parameter param variable quantity metric measurand measurement property field characteristic "
    "observable observed_?property pollutant channel element signal attribute what kind datatype grandeur "
    "__name__ target grootheid_omschrijving"
)
_VALUES = (
    "value val values reading readings result measurement measured_?value wert messwert mean data amount "
    "observation concentration sample_?measurement sensor_?value v valeur valor state _value result_?value "
    "obs_?value numeriekewaarde"
)
_COUNTERS = (
    r"# no\.? nr\.? num number record rec recno rn index idx row id obs seq\w* counter fcnt f_cnt sample "
    r"line entry_?id scan count packet\w* s\.?no\.? serial"
)
_FLAGS = (
    "flags? qc qa qaqc quality qual qualifier status err(or)?_?(code|flag)? source uncert valid validity "
    "approval qflag alarm checksum crc"
)
_REMARKS = "notes? comments? remarks? description event version firmware fw label"
_ENDS = "end stop until to"
_ASIDES = (
    "receiv creat updat _end end_ endtime upload insert modif sync expire sunrise sunset install calib "
    "ingest publish last_?seen process server import elapsed download"
)


def _any(words: str) -> str:
    """Return a regular expression that matches a title if it contains one of these words as a whole
    word."""
    return rf"(^|[^a-z])({'|'.join(words.split())})([^a-z]|$)"


def _as_words(words: str) -> str:
    return rf"^({'|'.join(words.split())})$"


TIME = f"{_any(_TIMES)}|time|date|yyyy|mmdd|日時|日付|時刻|measured|recorded|observed|logged"
ASIDE = f"{_any(_ENDS)}|{'|'.join(_ASIDES.split())}"
"""Titles of times other than the time of measurement."""
SLEEP = r"bedtime|sleep|wake.?up|sunrise|sunset"
"""Titles of times of day that were themselves measured, such as a bedtime."""
LATER = "local|start|begin"
"""Titles of times that are used only if there is no better time."""
OFFSET = r"^(tz|tz_?cd|(local.?)?time.?zone|zone|utc.?offset|offset)$"
ZONE = r"(^|[^a-z])(tz|time.?zone)([^a-z]|$)"
_DEVICES = (
    "sensor|device|dev|station|site|logger|node|probe|meter|mote|entity|gateway|deployment|platform"
)
_NAMED = rf"({_DEVICES})[_ .]?(id|name|no|code|number|eui|serial|index)$"
NUMBERED = rf"({_DEVICES})[_ .]?(id|no|code|number|eui|serial|index)$"
SENSOR = f"{_any(_SENSORS)}|{_NAMED}"
DEVICE = (
    "sensor|device|station|logger|node|(^|[^a])meter|probe|entity|serial|eui|nmi|site|location|well"
    "|buoy"
)
_NAMES = rf"^(location|stn|{_DEVICES})$|({_DEVICES})_?(id|eui)$"
IDENTITY = rf"(^|[^a-z])(id|code|serial|s/n|eui|mac|index)$|{_NAMES}"
STATION = rf"^#?(stn|stid|sid|{_DEVICES})([ _.]?(id|name|no|code|number))?$"
IDENTITY_ONLY = r"(^|[^a-z])(id|code|serial|s/n|eui|mac|index|no|nr|number|name)$"
PLAIN_SENSOR = rf"{_as_words(_SENSORS)}|{_NAMED}|{STATION}|serial|imei|iccid"
"""Titles that contain nothing but a word for sensors."""
LONG = r"imei|imsi|iccid|(^|[^a-z])(uid|did|esn|meid)([^a-z]|$)"
"""Words in titles of columns with long numbers that identify a device or its SIM card."""
NO_NAME = (
    r"P(\d+[YMWD])*(T(\d+(\.\d+)?[HMS])+)?|true|false|yes|no|v?\d+(\.\d+){1,3}(-\w+)?"
    r"|\d+ ?(ms|s|secs?|seconds?|min|mins|minutes?|h|hours?)"
    r"|\d{4}-\d\d(-\d\d([T ]\d\d:\d\d.*)?)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}:\d\d(:\d\d)?"
)
"""Matches durations, truth values, versions, dates and times of day, which are not names."""
OF_EVENT = (
    r"(event|message|msg|reading|record|rec|result|request|session|transaction|observation|obs|measurement"
    r"|correlation|batch|packet|sample|user|tenant|firmware|version)[_ .]?(id|uuid|name|code|number|no)$"
)
QUANTITY = (
    r"temp|humid|press|battery|volt|current$|power|level|reading|value|glucose|signal|rssi|flow|speed|depth"
    r"|height|count|state$|status"
)
KIND = _any(_KINDS)
KIND_NAMED = "name|type|parameter|variable|metric|quantity|field"
_PLAIN = "parameter|variable|metric|quantity|measurand|pollutant|analyte|observable|characteristic"
KIND_PLAIN = rf"^({_PLAIN})([ _]?name)?$"
"""Titles of columns of types, even if the column contains only one type."""
VALUE = _as_words(_VALUES)
UNIT = (
    r"^(unit|units|uom|unit_?of_?measure(ment)?|units_?of_?measure|einheit|unit_?name|unit_?code|unite"
    r"|unidad|eenheid(_code)?)$"
)
COUNTER = rf"{_as_words(_COUNTERS)}|(row|rec|record|obs|entry|index|line|sample)[ _.]?(id|no|nr|number|#)$"
FLAG = rf"{_any(_FLAGS)}|_(qc|flag|qual|cd)$|qc_|flag$"
FLAG_PLAIN = (
    rf"{_as_words(_FLAGS)}|(^|[^a-z])(qc|qa|flags?|status|checksum|crc|alarm|source)([^a-z]|$)"
)
KIND_OF_MESSAGE = r"(result|response|message|msg|data|event|chart|object|feature)[_ .]?type$"
CARRIED = (
    r"(^|\.)(rx_?info|tx_?info|rx_?metadata|gateways?|hotspots|metadata)[.\[]|(^|\.)(f?_?port|qos)$"
)
"""Paths of numbers that describe the transmission of a message, not a measurement."""
PART = "^(ms|msec|milli(second)?s?)$"
ELAPSED = r"elapsed|uptime|up_?time|oper(ating|ation)?[_ ]?time|seconds?_?since|run_?time|^millis"
SECONDS = "^(seconds?|sec)$"
REMARK = _any(_REMARKS)
CLOCK = r"^(time|hhmm|hour|hora|uhrzeit|zeit)|hh:?mm|time\b"
HOUR = r"^(hour|hr|hh|stunde|hora|time|hod)(\b|.?(observed|of.?day)$)"

LABELS = (
    r"(?:logger |device |instrument )?serial(?:[ _]?(?:number|no\.?|#))?|s/?n|[\w/ -]*registration number",
    r"(?:logger|station|device|sensor|site)[ _]?(?:id|code|no\.?|nr\.?|number)",
    r"(?:logger|station|device|site)(?:[ _]?name)?",
)
"""Words before the name of a logger in the lines above a header. The most reliable words come first."""
