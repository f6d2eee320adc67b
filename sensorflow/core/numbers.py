"""Converts cells to doubles. A cell that is not a valid number gets a reject code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.codes import Codes, no_codes
from sensorflow.core.patterns import compiled
from sensorflow.core.texts import some_empty
from sensorflow.errors import Code, Permanent

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NONZERO = r"^[^eE]*[1-9]"
_WORDS = r"(?i)^[+-]?(?:nan|inf|infinity)$"


@dataclass(frozen=True)
class Numbers:
    """Converted cells. values: doubles, null if missing or rejected. codes: the reject code of each cell,
    or 0."""

    values: pa.Array
    codes: Codes

    @property
    def missing(self) -> int:
        return int(self.values.null_count) - int((self.codes != 0).sum())


@dataclass(frozen=True)
class Style:
    """The notation of numbers in a column, and the numbers and texts that mark missing values.

    markers: texts that mark missing values; a marker that is a number matches every notation of this
    number. decimal, thousands: the decimal sign and the thousands separator. clean: a pattern whose first
    group (other than "unit") is the number. words: text -> the number that replaces it. below: numbers less
    than or equal to this one mark missing values. above: numbers greater than or equal to this one mark
    missing values. scale, offset: the result is number * scale + offset. angle: see `angles.degrees`.
    """

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
        """Whether this style changes the text of a number before the text is parsed, by decimal, thousands,
        clean or words."""
        return bool(self.decimal != "." or self.thousands or self.clean or self.words)

    @cached_property
    def of_numbers(self) -> Style:
        """The style for the texts of typed numbers. Its `words` do not include words that are numbers,
        because `_worded` replaces these numbers."""
        words = {k: v for k, v in (self.words or {}).items() if not _as_floats([k])}
        return replace(self, decimal=".", thousands=None, clean=None, words=words)


def read(
    column: pa.Array,
    style: Style,
    typed: pa.Array | None = None,
    hemispheres: pa.Array | None = None,
) -> Numbers:
    """Convert strings (text formats) or typed numbers (Parquet) to doubles, according to a style.

    typed: whether each string is the text of a typed number, as in JSON and spreadsheets; None if all
    strings are plain texts. The style's decimal, thousands and clean do not apply to typed numbers.
    hemispheres: see `angles.degrees`.
    """
    kind = column.type
    if style.angle is not None:
        found = _angles(column, style, hemispheres)
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
    if style.decimal == ",":  # markers are written in the notation of the file
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
    result = pc.add(scaled(values, style.scale), style.offset)
    lost = pc.is_finite(result).fill_null(True).to_numpy(zero_copy_only=False)
    found.codes[~lost] = Code.VALUE_NOT_REPRESENTABLE.number
    return Numbers(pc.if_else(pa.array(lost), result, None), found.codes)


def _worded(found: Numbers, style: Style, typed: pa.Array | None = None) -> Numbers:
    """Replace typed numbers by other numbers, as in `values = { 1 = 45 }`."""
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


def _angles(column: pa.Array, style: Style, hemispheres: pa.Array | None) -> Numbers:
    from sensorflow.core.angles import degrees

    texts = column if pa.types.is_string(column.type) else _as_text(column)
    texts = _plain(pc.utf8_trim_whitespace(texts), style)
    marks = pa.array(["", *style.markers], pa.string())
    texts = pc.if_else(pc.is_in(texts, value_set=marks), None, texts)
    return Numbers(*degrees(texts, str(style.angle), hemispheres))


def scaled(values: pa.Array, scale: float) -> pa.Array:
    """Return values * scale. If 1 / scale is an integer, divides by this integer, so that 14 * 0.1 gives
    exactly 1.4."""
    inverse = round(1 / scale) if scale and abs(scale) < 1 else 0
    if inverse and abs(1 / scale - inverse) < 1e-9 * abs(inverse):
        return pc.divide(values, float(inverse))
    return pc.multiply(values, scale)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return column.cast(pa.string())
    return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())


def _plain(texts: pa.Array, style: Style) -> pa.Array:
    """Rewrite texts to the number notation that `parse` expects."""
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
        # "." is not the decimal sign here, so a text that contains "." is not a number
        pointed = pc.match_substring(plain, ".")
        comma = pc.replace_substring(plain, ",", ".")
        plain = pc.if_else(pc.or_(marked, pointed), plain, comma)
        plain = pc.if_else(
            pc.and_(pointed, pc.invert(marked)), pc.binary_join_element_wise(plain, "?", ""), plain
        )
    return plain


def _word(texts: pa.Array, words: tuple[str, ...]) -> pa.Array:
    """Return, for each text, the index of the equal word, or null if no word is equal.

    Upper and lower case are not distinguished, unless several words differ only in case.
    """
    place = pc.index_in(texts, value_set=pa.array(words, pa.string()))
    if not place.null_count:
        return place
    small = [word.casefold() for word in words]
    sure = {word: index for index, word in enumerate(small) if small.count(word) == 1}
    coded = pc.dictionary_encode(texts)
    found = [sure.get((text or "").casefold()) for text in coded.dictionary.to_pylist()]
    return pc.coalesce(place, pa.array(found, pa.int32()).take(coded.indices))


def number_in(regex: str) -> int:
    """Return the index of the group that contains the number in a `clean` pattern. It is the first group
    that does not have the name "unit"."""
    unit = re.compile(regex).groupindex.get("unit")
    return 2 if unit == 1 else 1


def _is_cut(text: str, end: int) -> bool:
    """Return whether the text continues at `end` with digits of the number. In that case the pattern has
    split a number, for example 15 into the number 1 and the unit 5."""
    return re.match(r"[.,'+\u2212-]?\d|[eE][+-]?\d", text[end:]) is not None


def first_group(
    texts: pa.Array, regex: str, strict: bool = False, group: str | int | None = None
) -> pa.Array:
    """Search each text for the pattern, and return the text of one group of the match. group: the group;
    None for the first group.

    If the pattern does not match a text, the result is the text itself, or null if `strict` is set. Raises
    Permanent PATTERN_TOO_SLOW; the error's place contains the index of the first row with the text.
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
    """Remove the thousands separators from each text in which all separators are in correct positions.
    Other texts stay unchanged."""
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
"""Thousands separators that have variants: spaces of all widths, and apostrophes."""


def _floats(markers: Iterable[str]) -> Iterator[float]:
    """Yield the markers that are numbers."""
    for marker in markers:
        with suppress(ValueError):
            yield float(marker)


def _as_floats(markers: Iterable[str]) -> list[float]:
    """Return the markers that are numbers. NaN is not included, because it is not equal to any number."""
    return [number for number in _floats(markers) if number == number]


def parse(texts: pa.Array, markers: Iterable[str]) -> Numbers:
    """Parse an array of strings. Nulls, blank strings and `markers` are missing values.

    A number that a double cannot represent (1e400, 1e-400) is rejected, never turned into inf or 0. nan and
    inf are rejected too, unless they are markers.
    """
    texts = _unmarked(texts, markers)
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return _slow(texts, markers)
    if not _needs_exact_parse(texts, values):
        return Numbers(values, no_codes(len(values)))
    return _slow(texts, markers)


def _unmarked(texts: pa.Array, markers: Iterable[str]) -> pa.Array:
    """Replace empty texts and markers by null."""
    markers = tuple(markers)
    if not markers and not some_empty(texts):
        return texts
    marked = pc.is_in(texts, value_set=pa.array(["", *markers]))
    return pc.if_else(marked, None, texts) if marked.true_count else texts


def _needs_exact_parse(texts: pa.Array, values: pa.Array) -> bool:
    """Return whether any value is infinite, NaN, or a zero whose text has a digit other than 0."""
    array = values.fill_null(1.0).to_numpy(zero_copy_only=False)
    if not np.isfinite(array).all():
        return True
    zeros = texts.filter(pa.array(array == 0))
    return bool(pc.any(pc.match_substring_regex(zeros, _NONZERO)).as_py())


def _slow(texts: pa.Array, markers: Iterable[str]) -> Numbers:
    texts = _unmarked(pc.utf8_trim_whitespace(texts), markers)
    texts = pc.replace_substring_regex(texts, r"^\+([0-9.])", r"\1")
    texts = pc.replace_substring_regex(texts, r"(^|[eE])\x{2212}([0-9.])", r"\1-\2")  # minus signs
    codes = no_codes(len(texts))
    number = pc.match_substring_regex(texts, _NUMBER).fill_null(True)
    word = pc.match_substring_regex(texts, _WORDS).fill_null(False)
    codes[~number.to_numpy(zero_copy_only=False)] = Code.VALUE_NOT_A_NUMBER.number
    codes[word.to_numpy(zero_copy_only=False)] = Code.VALUE_NOT_FINITE.number
    values = pc.if_else(number, texts, None).cast(pa.float64())
    array = values.fill_null(1.0).to_numpy(zero_copy_only=False)
    # underflow: the value is 0, but a digit before the exponent is not 0
    some = pc.match_substring_regex(texts, _NONZERO).fill_null(False)
    lost = ~np.isfinite(array) | ((array == 0) & some.to_numpy(zero_copy_only=False))
    codes[lost & (codes == 0)] = Code.VALUE_NOT_REPRESENTABLE.number
    return Numbers(pc.if_else(pa.array(codes == 0), values, None), codes)


def from_floats(values: pa.Array, markers: Iterable[str]) -> Numbers:
    """Convert typed numbers (Parquet) to the nearest doubles. Nulls and `markers` are missing values.

    NaN, infinities and decimals beyond the range of a double are rejected, unless they are markers.
    """
    doubles = values.cast(pa.float64(), safe=False)
    array = np.array(doubles.fill_null(0.0).to_numpy(zero_copy_only=False))
    missing = np.asarray(values.is_null().to_numpy(zero_copy_only=False), np.bool_)
    for number in _floats(markers):
        missing |= np.isnan(array) if np.isnan(number) else array == number
    codes = no_codes(len(values))
    codes[~missing & ~np.isfinite(array)] = Code.VALUE_NOT_FINITE.number
    return Numbers(pa.array(array, mask=missing | (codes != 0)), codes)
