"""Text that tells a number -> doubles, decided by rule on the text, or a reason why not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.codes import Codes, unrefused
from sensorflow.core.patterns import compiled
from sensorflow.core.texts import some_empty
from sensorflow.errors import Code, Permanent

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NONZERO = r"^[^eE]*[1-9]"
_WORDS = r"(?i)^[+-]?(?:nan|inf|infinity)$"


@dataclass(frozen=True)
class Numbers:
    """values: double, null where missing or refused; codes: why refused, 0 elsewhere."""

    values: pa.Array
    codes: Codes

    @property
    def missing(self) -> int:
        return int(self.values.null_count) - int((self.codes != 0).sum())


@dataclass(frozen=True)
class Style:
    """How numbers are written, and which of them are none. markers: of missing values; one that is a
    number stands for every way to write it. below, above: numbers up to, from, these are missing.
    clean: a pattern whose first group (but one called unit) is the number. words: texts that stand for
    numbers. angle: see `angles.degrees`."""

    markers: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str | None = None
    clean: str | None = None
    words: Mapping[str, float] | None = None
    below: float | None = None
    above: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    angle: str | None = None

    @property
    def is_for_texts(self) -> bool:
        """Whether a number's text may not mean what it says: that of a typed number always does."""
        return bool(self.decimal != "." or self.thousands or self.clean or self.words)

    @cached_property
    def of_numbers(self) -> Style:
        """Of the texts of typed numbers, but for words that are numbers: see `_worded`."""
        words = {k: v for k, v in (self.words or {}).items() if not _as_floats([k])}
        return replace(self, decimal=".", thousands=None, clean=None, words=words)


def read(
    column: pa.Array,
    style: Style,
    typed: pa.Array | None = None,
    halves: pa.Array | None = None,
) -> Numbers:
    """Strings (text formats) or typed numbers (Parquet) -> doubles by a profile's style.

    typed: which of the strings are texts of typed numbers, as JSON and sheets have them; None: none is.
    How people write numbers (decimal, thousands, clean) does not hold for those, all else does.
    halves: of angles, see `angles.degrees`.
    """
    kind = column.type
    if style.angle is not None:
        found = _angles(column, style, halves)
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        found = _worded(from_floats(column, style.markers), style)
    else:
        texts = column if pa.types.is_string(kind) else _as_text(column)
        plain = _plain(texts, style)
        if typed is not None and style.is_for_texts:
            plain = pc.if_else(typed, _plain(texts, style.of_numbers), plain)
        found = parse(plain, style.markers)
        if typed is not None:
            found = _worded(found, style, typed)
    array = found.values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    gone = np.zeros(len(array), np.bool_)
    markers = style.markers
    if style.decimal == ",":  # markers are written as the texts of the file are
        markers += tuple(m.replace(",", ".") for m in markers if "." not in m)
    if exact := _as_floats(markers):
        gone |= np.isin(array, exact)
    if style.below is not None:
        gone |= array <= style.below
    if style.above is not None:
        gone |= array >= style.above
    values = pc.if_else(pa.array(gone), None, found.values) if gone.any() else found.values
    if style.scale == 1 and style.offset == 0:
        return Numbers(values, found.codes)
    made = pc.add(scaled(values, style.scale), style.offset)
    lost = pc.is_finite(made).fill_null(True).to_numpy(zero_copy_only=False)
    found.codes[~lost] = Code.VALUE_NOT_REPRESENTABLE.number
    return Numbers(pc.if_else(pa.array(lost), made, None), found.codes)


def _worded(found: Numbers, style: Style, typed: pa.Array | None = None) -> Numbers:
    """Typed numbers of which some stand for others: codes, by `values = { 1 = 45 }`."""
    words: dict[float, float] = {}
    for word, value in (style.words or {}).items():
        words |= dict.fromkeys(_as_floats([word]), value)
    if not words:
        return found
    array = found.values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    values = array.copy()
    where = True if typed is None else typed.to_numpy(zero_copy_only=False)
    for number, value in words.items():
        values[(array == number) & where] = value
    return Numbers(pa.array(values, mask=~found.values.is_valid().to_numpy(False)), found.codes)


def _angles(column: pa.Array, style: Style, halves: pa.Array | None) -> Numbers:
    from sensorflow.core.angles import degrees

    texts = column if pa.types.is_string(column.type) else _as_text(column)
    texts = _plain(pc.utf8_trim_whitespace(texts), style)
    marks = pa.array(["", *style.markers], pa.string())
    texts = pc.if_else(pc.is_in(texts, value_set=marks), None, texts)
    return Numbers(*degrees(texts, str(style.angle), halves))


def scaled(values: pa.Array, scale: float) -> pa.Array:
    """values * scale. A tenth is no double, ten is: 14 * 0.1 is to be 1.4 and not 1.4000000000000001."""
    inverse = round(1 / scale) if scale and abs(scale) < 1 else 0
    if inverse and abs(1 / scale - inverse) < 1e-9 * abs(inverse):
        return pc.divide(values, float(inverse))
    return pc.multiply(values, scale)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return column.cast(pa.string())
    return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())


def _plain(texts: pa.Array, style: Style) -> pa.Array:
    """Texts in which a number is written as `parse` wants it."""
    simple = style.decimal == "." and not style.thousands
    if simple and not style.clean and not style.words:
        return texts
    trimmed = pc.utf8_trim_whitespace(texts)
    marked = pc.is_in(trimmed, value_set=pa.array(["", *style.markers])).fill_null(True)
    plain = trimmed
    if style.words:
        place = _word(plain, tuple(style.words))
        numbers = pa.array([repr(v) for v in style.words.values()], pa.string())
        plain = pc.if_else(place.is_valid(), numbers.take(place), plain)
        marked = pc.or_(marked, place.is_valid())
    if style.clean:
        plain = pc.if_else(
            marked, plain, first_group(plain, style.clean, group=number_in(style.clean))
        )
    if style.thousands:
        plain = pc.if_else(marked, plain, _ungrouped(plain, style))
    if style.decimal == ",":
        # a point is then no decimal sign: what has one is no number
        pointed = pc.match_substring(plain, ".")
        comma = pc.replace_substring(plain, ",", ".")
        plain = pc.if_else(pc.or_(marked, pointed), plain, comma)
        plain = pc.if_else(
            pc.and_(pointed, pc.invert(marked)), pc.binary_join_element_wise(plain, "?", ""), plain
        )
    return plain


def _word(texts: pa.Array, words: tuple[str, ...]) -> pa.Array:
    """Which of the words each text is, null where none: as it is written, or in any case where only one
    word is it then."""
    place = pc.index_in(texts, value_set=pa.array(words, pa.string()))
    if not place.null_count:
        return place
    small = [word.casefold() for word in words]
    sure = {word: index for index, word in enumerate(small) if small.count(word) == 1}
    coded = pc.dictionary_encode(texts)
    found = [sure.get((text or "").casefold()) for text in coded.dictionary.to_pylist()]
    return pc.coalesce(place, pa.array(found, pa.int32()).take(coded.indices))


def number_in(regex: str) -> int:
    """The group of the number in a pattern of `clean`: the first that is not called unit."""
    unit = re.compile(regex).groupindex.get("unit")
    return 2 if unit == 1 else 1


def _is_cut(text: str, end: int) -> bool:
    """Whether a number goes on where the pattern ended it, so that its rest became a unit: 1|5."""
    return re.match(r"[.,'+\u2212-]?\d|[eE][+-]?\d", text[end:]) is not None


def first_group(
    texts: pa.Array, regex: str, strict: bool = False, group: str | int | None = None
) -> pa.Array:
    """A group's text of each, the first unless given; where the pattern is not found the text itself,
    strictly none.

    Raises Permanent PATTERN_TOO_SLOW, with the first row that has the text.
    """
    pattern, wanted = compiled(regex), 1 if group is None else group
    number = number_in(regex) if "unit" in re.compile(regex).groupindex else None
    coded = pc.dictionary_encode(texts)
    found: list[str | None] = []
    for text in coded.dictionary.to_pylist():
        try:
            match = pattern.search(text or "")
        except Permanent as error:
            error.place["row"] = pc.index(coded.indices, len(found)).as_py()
            raise
        if match is not None and number is not None and _is_cut(text, match.end(number)):
            match = None
        bare = None if strict else text
        found.append(bare if match is None or match[wanted] is None else match[wanted].strip())
    return pa.array(found, pa.string()).take(coded.indices)


def _ungrouped(texts: pa.Array, style: Style) -> pa.Array:
    """Without the signs between thousands, where these stand as they should."""
    signs = _LIKE.get(str(style.thousands), str(style.thousands))
    sign, point = f"[{re.escape(signs)}]", re.escape(style.decimal)
    right = pc.match_substring_regex(
        texts,
        rf"^[+\x{{2212}}-]?\d{{1,3}}(?:{sign}\d{{3}})+(?:{point}\d*)?(?:[eE][+-]?\d+)?$",
    )
    bare = texts
    for each in signs:
        bare = pc.replace_substring(bare, each, "")
    return pc.if_else(right, bare, texts)


_LIKE = {" ": " \u00a0\u2007\u2009\u202f", "'": "'\u2019\u02bc"}
"""Signs between thousands that are written in several ways: spaces of all widths, apostrophes."""


def _floats(markers: Iterable[str]) -> Iterator[float]:
    """Those markers that are numbers."""
    for marker in markers:
        with suppress(ValueError):
            yield float(marker)


def _as_floats(markers: Iterable[str]) -> list[float]:
    """The same without NaN, which equals nothing."""
    return [number for number in _floats(markers) if number == number]


def parse(texts: pa.Array, markers: Iterable[str]) -> Numbers:
    """Read an array of strings. Null, blank, and the file's `markers` of missing values are missing.

    A number that a double cannot hold (1e400, 1e-400) is refused, never turned into inf or 0; so
    are nan and inf unless they are markers.
    """
    texts = _unmarked(texts, markers)
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return _slow(texts, markers)
    if not _odd(texts, values):
        return Numbers(values, unrefused(len(values)))
    return _slow(texts, markers)


def _unmarked(texts: pa.Array, markers: Iterable[str]) -> pa.Array:
    """Null where a text is none, or a marker."""
    markers = tuple(markers)
    if not markers and not some_empty(texts):
        return texts
    marked = pc.is_in(texts, value_set=pa.array(["", *markers]))
    return pc.if_else(marked, None, texts) if marked.true_count else texts


def _odd(texts: pa.Array, values: pa.Array) -> bool:
    """Whether a value is infinite, not a number, or a zero whose text is not one."""
    array = values.fill_null(1.0).to_numpy(zero_copy_only=False)
    if not np.isfinite(array).all():
        return True
    zeros = texts.filter(pa.array(array == 0))
    return bool(pc.any(pc.match_substring_regex(zeros, _NONZERO)).as_py())


def _slow(texts: pa.Array, markers: Iterable[str]) -> Numbers:
    texts = _unmarked(pc.utf8_trim_whitespace(texts), markers)
    texts = pc.replace_substring_regex(texts, r"^\+([0-9.])", r"\1")
    texts = pc.replace_substring_regex(texts, r"(^|[eE])\x{2212}([0-9.])", r"\1-\2")  # minus signs
    codes = unrefused(len(texts))
    number = pc.match_substring_regex(texts, _NUMBER).fill_null(True)
    word = pc.match_substring_regex(texts, _WORDS).fill_null(False)
    codes[~number.to_numpy(zero_copy_only=False)] = Code.VALUE_NOT_A_NUMBER.number
    codes[word.to_numpy(zero_copy_only=False)] = Code.VALUE_NOT_FINITE.number
    values = pc.if_else(number, texts, None).cast(pa.float64())
    array = values.fill_null(1.0).to_numpy(zero_copy_only=False)
    # a digit before the exponent is not zero, and yet the value is: an underflow
    some = pc.match_substring_regex(texts, _NONZERO).fill_null(False)
    lost = ~np.isfinite(array) | ((array == 0) & some.to_numpy(zero_copy_only=False))
    codes[lost & (codes == 0)] = Code.VALUE_NOT_REPRESENTABLE.number
    return Numbers(pc.if_else(pa.array(codes == 0), values, None), codes)


def from_floats(values: pa.Array, markers: Iterable[str]) -> Numbers:
    """Typed numbers (Parquet), as the nearest doubles. Null and the `markers` are missing.

    NaN and infinities are refused unless they are markers, a decimal that no double holds too.
    """
    doubles = values.cast(pa.float64(), safe=False)
    array = np.array(doubles.fill_null(0.0).to_numpy(zero_copy_only=False))
    missing = np.asarray(values.is_null().to_numpy(zero_copy_only=False), np.bool_)
    for number in _floats(markers):
        missing |= np.isnan(array) if np.isnan(number) else array == number
    codes = unrefused(len(values))
    codes[~missing & ~np.isfinite(array)] = Code.VALUE_NOT_FINITE.number
    return Numbers(pa.array(array, mask=missing | (codes != 0)), codes)
