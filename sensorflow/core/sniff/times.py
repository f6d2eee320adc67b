"""Finds the time formats of a column. Each format is tested with the parser that the reader uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.times.clock import Clock
from sensorflow.core.times.instants import parse
from sensorflow.core.times.zones import ABBREVIATIONS

ORDERS = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
MIN_READABLE_SHARE = 0.95
"""Minimum share of the texts of a column that must be readable as times."""
MAX_ROWS = 20_000
"""Maximum number of rows of a column that are examined."""

_SHAPES: dict[str, dict[str, str]] = {
    r"(?P<y>\d{4})(?P<s>[-/. ])\d{1,2}(?P=s)\d{1,2}(?!\d)": {
        "ymd": "%Y{s}%m{s}%d",
        "dmy": "%Y{s}%d{s}%m",
    },
    r"\d{1,2}(?P<s>[-/. ])\d{1,2}(?P=s)\d{4}(?!\d)": {
        "dmy": "%d{s}%m{s}%Y",
        "mdy": "%m{s}%d{s}%Y",
    },
    r"\d{1,2}(?P<s>[-/. ])\d{1,2}(?P=s)\d{2}(?!\d)": {
        "dmy": "%d{s}%m{s}%y",
        "mdy": "%m{s}%d{s}%y",
        "ymd": "%y{s}%m{s}%d",
    },
    r"\d{1,2}(?P<s>[-/. ]?)(?P<b>[A-Za-z]{3,9})(?P<t>[-/. ]?)\d{4}(?!\d)": {"": "%d{s}{b}{t}%Y"},
    r"\d{1,2}(?P<s>[-/. ]?)(?P<b>[A-Za-z]{3,9})(?P<t>[-/. ]?)\d{2}(?!\d)": {"": "%d{s}{b}{t}%y"},
    r"(?P<b>[A-Za-z]{3,9})(?P<s>[-/. ])\d{1,2}(?P<t>,? ?[-/. ]?)\d{4}(?!\d)": {"": "{b}{s}%d{t}%Y"},
    r"\d{4}(?P<s>[-/. ]?)(?P<b>[A-Za-z]{3,9})(?P<t>[-/. ]?)\d{1,2}(?!\d)": {"": "%Y{s}{b}{t}%d"},
    r"(19|20)\d{6}(?!\d)": {"ymd": "%Y%m%d"},
    r"(19|20)\d{6}(?=\d{2}(\d\d)?(\d\d)?(\D|$))": {"ymd": "%Y%m%d"},
    r"\d{8}(?!\d)": {"dmy": "%d%m%Y", "mdy": "%m%d%Y"},
    r"\d{6}(?!\d)": {"ymd": "%y%m%d", "dmy": "%d%m%y", "mdy": "%m%d%y"},
    r"\d{4}(?P<s>[-/. ]?)\d{3}(?!\d)": {"": "%Y{s}%j"},
}
"""Pattern of a date at the beginning of a text -> order of day, month and year -> date format."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(
    r"(?P<h>\d{1,2})(?P<c>[:.h])(?P<m>\d{2})(?:(?P<d>[:.m])(?P<s>\d{2})(?:(?P<e>[.,:])(?P<f>\d{1,9}))?)?"
    r"(?P<gap>\s*)(?P<p>[AaPp][Mm]?\b)?"
)
_PACKED = {6: "%H%M%S", 4: "%H%M", 2: "%H"}


@dataclass(frozen=True)
class Read:
    """How to read a column of times. formats: the time formats, in the notation of the profile. reason:
    the reason for these formats. offset: whether the texts define UTC times, because they have an offset
    or count from a fixed time. clock: whether the texts include a time of day. extract: the pattern that
    finds the time in the text; "" if the text contains nothing else. doubt: a question for the user, or
    "". since: the date from which epoch timestamps count; "" for 1970."""

    formats: tuple[str, ...]
    reason: str
    offset: bool = False
    clock: bool = True
    extract: str = ""
    doubt: str = ""
    since: str = ""


def read(cells: Sequence[str], hint: str = "", prefer: str = "") -> Read | None:
    """Return how to read the cells of a column that contains dates, with or without times of day. Returns
    None for any other column.

    hint: the column's titles, which may contain "MM/DD/YYYY". prefer: the order of day and month if the
    cells are ambiguous.
    """
    texts = [t for t in cells[:MAX_ROWS] if t]
    if not texts or not any(c.isdigit() for c in texts[0]) or len(texts[0]) > 60:
        return None
    if re.match(r"\s*\d{4}-", texts[0]) and _share(texts, "iso8601") >= MIN_READABLE_SHARE:
        return _iso(texts)
    if all("/" in t for t in texts[:100]):
        halves = [t.split("/")[0] for t in texts]
        if "T" in halves[0] and _share(halves, "iso8601") >= MIN_READABLE_SHARE:
            found = _iso(halves)
            reason = "an interval; its start is used"
            return Read(found.formats, reason, found.offset, found.clock, "^([^/]+)/")
    return _ordered(texts, hint, prefer)


def _iso(texts: Sequence[str]) -> Read:
    zoned = [bool(re.search(r"\d\s*(Z|[+-]\d{2}(:?\d{2})?)$", t[10:])) for t in texts]
    clock = any(":" in t or "T" in t for t in texts[:1000])
    if all(zoned):
        return Read(("iso8601",), "ISO 8601, each with its offset from UTC", True)
    if any(zoned):
        return Read(("iso8601",), "ISO 8601, some with an offset from UTC and some without")
    return Read(("iso8601",), "ISO 8601 without an offset", clock=clock)


def _ordered(texts: list[str], hint: str, prefer: str) -> Read | None:
    """Return how to read the texts. The chosen order of day, month and year is the one in which the most
    texts are dates. If this applies to several orders, the order with the smallest time steps is chosen,
    because in a wrong order the time jumps by months."""
    sample = list(dict.fromkeys(texts))
    found: dict[tuple[str, ...], tuple[float, str]] = {}
    for order in ORDERS:
        formats = tuple(_formats(sample, order))
        if formats and formats not in found:
            found[formats] = (_share(sample, *formats), order)
    best = max((share for share, _ in found.values()), default=0.0)
    if best < MIN_READABLE_SHARE:
        return None
    even = {f: order for f, (share, order) in found.items() if share >= best - 1e-9}
    formats, doubt = _most_even(texts, even, hint, prefer)
    joined = " ".join(formats)
    stated_order = ORDERS.get(found[formats][1], "")
    reason = _seen(even, formats, stated_order) if len(found) > 1 and not doubt else ""
    offset = "%z" in joined or "%Z" in joined
    return Read(formats, reason, offset, "%H" in joined or "%I" in joined, doubt=doubt)


def _seen(even: dict[tuple[str, ...], str], formats: tuple[str, ...], order: str) -> str:
    if formats[0].startswith("%Y"):
        return ""
    if len(even) == 1:
        return f"{order}: in any other order some dates do not exist"
    return f"{order}: in any other order the times jump"


def _most_even(
    texts: list[str], even: dict[tuple[str, ...], str], hint: str, prefer: str
) -> tuple[tuple[str, ...], str]:
    """Return (formats, question for the user) for the order of day, month and year with the smallest
    time steps. even: formats -> order. The question is "" if the order is clear."""
    usual = [f for f, order in even.items() if order == "ymd" and f[0].startswith("%Y")]
    if len(even) == 1 or usual:
        return (usual or list(even))[0], ""
    hinted = _hinted_order(hint)
    for formats, order in even.items():
        if order == hinted:
            return formats, ""
    ways = {formats: _way(texts, formats) for formats in even}
    least = min(ways.values())
    best = [f for f, way in ways.items() if way <= least * 1.01]
    if len(best) == 1:
        return best[0], ""
    dotted = [f for f in best if even[f] == "dmy" and "." in f[0]]
    if dotted:  # dates with points do not begin with the month
        return dotted[0], ""
    half = any("%I" in f for f in best[0])
    wanted = ("mdy" if half else "") or prefer
    chosen = next((f for f in best if even[f] == wanted), best[0])
    others = ", ".join(f[0] for f in best if f != chosen)
    return chosen, f"the dates fit both {chosen[0]} and {others}: check which format is right"


def _hinted_order(hint: str) -> str:
    """Return the order of day, month and year that a title states, such as "Date (MM/DD/YYYY)". Returns
    "" if it states none."""
    letters = re.search(
        r"(?i)\b(d{1,2}|m{1,3}|y{2,4})[-/. ]?(d{1,2}|m{1,3}|y{2,4})[-/. ]?(d{1,2}|y{2,4})\b", hint
    )
    return "".join(g[0].lower() for g in letters.groups()) if letters else ""


def spelled(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the formats of a column whose dates begin with the year. The formats consist of strptime
    directives."""
    return tuple(_formats(list(dict.fromkeys(t for t in cells[:MAX_ROWS] if t)), "ymd"))


def _way(texts: list[str], formats: tuple[str, ...]) -> float:
    """Return the sum of the lengths of all time steps from row to row. Steps back in time count like
    steps forward."""
    nanos = instants(texts, formats)
    return float(np.abs(np.diff(nanos.astype(np.float64))).sum())


def instants(texts: Sequence[str], formats: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return the UTC times of the texts. Texts that no format can read are left out."""
    found = parse(pa.array(texts, pa.string()), tuple(formats), Clock("UTC"))
    ints: npt.NDArray[np.int64] = found.ts.drop_null().cast(pa.int64()).to_numpy()
    return ints


def _share(texts: Sequence[str], *formats: str) -> float:
    found = parse(pa.array(texts, pa.string()), formats, Clock("UTC"))
    return float((found.codes == 0).mean())


def _formats(sample: list[str], order: str) -> list[str]:
    """Return the formats that are needed to read all texts. Several are needed for some loggers, for
    example if the logger omits the time of day at midnight."""
    found: list[str] = []
    rest = sample
    while rest and len(found) < 4:
        first_format = _format(rest[0], order)
        if first_format is None or first_format in found:
            break
        found.append(first_format)
        read = parse(pa.array(rest, pa.string()), first_format, Clock("UTC"))
        rest = [t for t, code in zip(rest, read.codes, strict=True) if code]
    return found


def _format(text: str, order: str) -> str | None:
    """Return the format of one text, or None if it is not a date. The text consists of weekday, date,
    time of day and offset, in this order, or has the time of day before the date. Only the date is
    required."""
    text = text.strip()
    weekday = re.match(r"([A-Za-z]{3,9})(\.?,?\s+)", text)
    before = ""
    if weekday and weekday[1][:3].lower() in _DAYS:
        before = ("%a" if len(weekday[1]) == 3 else "%A") + re.sub(r"\s+", " ", weekday[2])
        text = text[weekday.end() :]
    date = _date(text, order)
    if date is not None:
        date_format, rest = date
        return None if (tail := _after(rest)) is None else before + date_format + tail
    clock = _clock(text)
    if clock is None:
        return None
    date_format, rest = clock
    gap = re.match(r"[ ,T_-]{1,3}", rest)
    date = _date(rest[gap.end() :], order) if gap else None
    if date is None or gap is None or (zone := _zone(date[1])) is None:
        return None
    return before + date_format + re.sub(r"\s+", " ", gap[0]) + date[0] + zone


def _date(text: str, order: str) -> tuple[str, str] | None:
    """Return (format of the date at the beginning of a text, text after the date). Returns None if the
    text does not begin with a date."""
    for shape, by_order in _SHAPES.items():
        match = re.match(shape, text)
        if match is None:
            continue
        date_format = by_order.get(order) or by_order.get("")
        if date_format is None:
            date_format = next(iter(by_order.values())) if len(by_order) == 1 else None
        if date_format is None:
            continue
        groups = match.groupdict()
        if "b" in groups:
            name = groups["b"].lower()
            if name[:3] not in _MONTHS:
                continue
            groups["b"] = "%b" if len(name) == 3 else "%B"
        return date_format.format(**groups), text[match.end() :]
    return None


def _after(rest: str) -> str | None:
    """Return the format of the text after a date, or None if this text is not a time of day."""
    if not rest:
        return ""
    gap = re.match(r"\s*[T_,;:-]?\s*", rest)
    assert gap is not None
    between, rest = re.sub(r"\s+", " ", gap[0]), rest[gap.end() :]
    clock = _clock(rest) or _packed(rest)
    if clock is None:
        return _zone(f" {rest}" if between else rest)
    zone = _zone(clock[1])
    return None if zone is None else between + clock[0] + zone


def _clock(text: str) -> tuple[str, str] | None:
    match = _CLOCK.match(text)
    if match is None:
        return None
    clock_format = ("%I" if match["p"] else "%H") + match["c"] + "%M"
    if match["s"]:
        clock_format += match["d"] + "%S"
    if match["f"]:
        clock_format += match["e"] + "%f"
    end = match.end()
    if match["p"]:
        clock_format += (" " if match["gap"] else "") + "%p"
    else:
        end -= len(match["gap"])
    return clock_format, text[end:]


def _packed(text: str) -> tuple[str, str] | None:
    match = re.match(r"\d+", text)
    if match is None or len(match[0]) not in _PACKED:
        return None
    return _PACKED[len(match[0])], text[match.end() :]


def _zone(rest: str) -> str | None:
    """Return the format of the text after a time of day, or None if this text is not an offset."""
    if not rest.strip():
        return ""
    gap = " " if rest[0].isspace() else ""
    rest = rest.strip()
    if re.fullmatch(r"Z|[+-]\d{2}(:?\d{2})?", rest):
        return f"{gap}%z"
    return f"{gap}%Z" if rest.upper() in ABBREVIATIONS else None


def clock(cells: Sequence[str]) -> tuple[str, ...]:
    """Return the formats of a column of times of day. Returns () for any other column."""
    sample = list(dict.fromkeys(t for t in cells[:MAX_ROWS] if t))
    found: list[str] = []
    for text in sample:
        clock_format = _clock(text)
        if clock_format is None or clock_format[1].strip() or not re.match(r"\d{1,2}[:h.]", text):
            return ()
        if clock_format[0] not in found:
            found.append(clock_format[0])
    halves = any("%p" in f for f in found)
    if halves and not _reads([f"2024-01-01 {t}" for t in sample[:50]], found):
        return ()
    plain = any(
        "." in f and "%S" not in f for f in found
    )  # 14.30 is more likely a number than a time
    return () if plain or len(found) > 4 else tuple(found)


def _reads(texts: Sequence[str], clocks: Iterable[str]) -> bool:
    return _share(texts, *(f"%Y-%m-%d {clock}" for clock in clocks)) == 1


def epoch(cells: Sequence[str], title: str) -> Read | None:
    """Return how to read a column of epoch timestamps, which are numbers that count from 1970 or from a
    date in the title. Returns None for other cells."""
    texts = [t for t in cells[:MAX_ROWS] if t]
    if not texts or not all(re.fullmatch(r"[+-]?\d{1,19}(\.\d*)?", t) for t in texts):
        return None
    since = re.search(
        r"(?i)\b(second|minute|hour|day|ms|millisecond)s? since (\d{4}-\d\d-\d\d)", title
    )
    if since:
        unit = {"s": "s", "m": "m", "h": "h", "d": "d"}[since[1][0].lower()]
        unit = "ms" if since[1].lower() in ("ms", "millisecond") else unit
        return Read((f"epoch_{unit}",), "according to the title", True, since=since[2])
    values = np.array([float(t) for t in texts])
    if values.min() >= 25569 and values.max() < 73051 and any("." in t for t in texts):
        return Read(("excel",), "days in the notation of spreadsheets")
    for unit, size in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if 3e8 * size <= values.min() and values.max() < 2.9e9 * size:
            digits = len(texts[0].split(".")[0])
            return Read((f"epoch_{unit}",), f"{digits} digits: it counts from 1970, in UTC", True)
    if values.min() >= 2.9e9 and values.max() < 4.9e9:
        reason = "seconds from 1904 (LabVIEW); from 1970, the times would be in the future"
        return Read(("epoch_s",), reason, True, since="1904-01-01")
    return None
