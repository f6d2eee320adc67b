"""Splits many lines of JSON at once. Each line contains one value. A leaf is a string, number or literal in
it that is not a member's name. The scan finds the position of each leaf and the shape of each line.

The shape of a line is its text without its leaves. A shape contains names, brackets, commas and spaces. All
lines of one shape have the same leaves in the same order, so the JSON parser needs to read only one line of
each shape. Lines that cannot be split in this way are irregular, and the JSON parser must read each of
them.

The shape does not show whether the leaves are valid. Therefore this module checks that each leaf is a
number, literal or string of JSON (RFC 8259).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_WORDS = pa.array(["true", "false", "null"])


def _table(signs: bytes) -> Bools:
    found = np.zeros(256, np.bool_)
    found[list(signs)] = True
    return found


_DIGIT = _table(b"0123456789")
_ONES = np.uint64(0x0101010101010101)
_TOP = np.uint64(56)


class NotUniform(Exception):
    """Raised if some lines are irregular. lines: for each line, whether it is irregular."""

    def __init__(self, lines: Bools) -> None:
        super().__init__()
        self.lines = lines


def runs(irregular: Bools, max_gap: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (begin, end, whether the lines are regular) for each run of consecutive lines. irregular:
    for each line, whether it is irregular. If fewer than `max_gap` regular lines are between two
    irregular lines, they belong to the irregular run."""
    begin = 0
    lines = np.flatnonzero(irregular)
    for run in np.split(lines, np.flatnonzero(np.diff(lines) > max_gap) + 1):
        first, last = int(run[0]), int(run[-1]) + 1
        if first > begin:
            yield begin, first, True
        yield first, last, False
        begin = last
    if begin < len(irregular):
        yield begin, len(irregular), True


@dataclass
class Scan:
    """The result of a scan. first: the index of each line's first leaf. starts, ends: the begin and end
    of each leaf in `data`. is_text, is_null: whether each leaf is a string, or null. shapes: the shape
    of each line, dictionary-encoded. decoded: (indexes of the leaves that contain escapes, texts of
    these leaves)."""

    data: bytes
    first: Ints
    starts: Ints
    ends: Ints
    is_text: Bools
    is_null: Bools
    shapes: pa.DictionaryArray
    decoded: tuple[Ints, pa.Array]

    def counts(self) -> Ints:
        """Return the number of leaves of each line."""
        return np.diff(self.first, append=len(self.starts))

    @cached_property
    def is_number(self) -> Bools:
        head = np.frombuffer(self.data, np.uint8)[self.starts.clip(max=len(self.data) - 1)]
        numbers: Bools = ~self.is_text & (_DIGIT[head] | (head == 45))
        return numbers


def scan(data: bytes, starts: Ints) -> Scan:
    """Scan complete lines. starts: the offset of each line in `data`. Raises NotUniform if there are
    irregular lines. The exception may not report all of them, so the caller must scan the other lines
    again."""
    return _Scanning(data, starts).scan()


class _Scanning:
    def __init__(self, data: bytes, starts: Ints) -> None:
        self.data, self.starts = data, starts
        self.bytes = np.frombuffer(data, np.uint8)
        self.padded = np.append(self.bytes, np.uint8(10))

    def mark_irregular(self, places: Ints) -> None:
        """Raise NotUniform if `places` is not empty. The irregular lines are those that contain these
        offsets."""
        if len(places):
            lines = np.zeros(len(self.starts), np.bool_)
            lines[np.searchsorted(self.starts, places, "right") - 1] = True
            raise NotUniform(lines)

    def scan(self) -> Scan:
        quotes, slashes = self.characters()
        places = np.flatnonzero(quotes)
        self.mark_irregular(
            self.starts[:-1][np.diff(np.searchsorted(places, self.starts)) % 2 == 1]
        )
        self.mark_irregular(places[-1:] if len(places) % 2 else places[:0])
        inside = inside_strings(quotes)
        controls = np.flatnonzero(self.bytes < 32)
        self.mark_irregular(controls[inside[controls]])
        opened, closed = places[0::2], places[1::2]
        is_value = ~self.before_colon(closed)
        texts = opened[is_value] + 1, closed[is_value]
        scalars = self.scalars(inside)
        starts, ends = (
            np.concatenate((texts[0], scalars[0])),
            np.concatenate((texts[1], scalars[1])),
        )
        order = np.argsort(starts, kind="stable")
        starts, ends, is_text = starts[order], ends[order], order < len(texts[0])
        is_null = ~is_text & (self.padded[starts] == ord("n"))
        first = np.searchsorted(starts, self.starts)
        shapes = self.shapes(starts + ~is_text, ends, starts[~is_text], first)
        unescaped = self.unescaped(slashes, starts, ends, is_text)
        return Scan(self.data, first, starts, ends, is_text, is_null, shapes, unescaped)

    def characters(self) -> tuple[Bools, Ints]:
        """Return (whether each byte is a quote that begins or ends a string, offsets of all
        backslashes). Raises NotUniform for invalid UTF-8, and for control characters other than tabs and
        line ends."""
        if not self.data.isascii():
            try:
                self.data.decode()
            except UnicodeDecodeError as error:
                self.mark_irregular(np.array([error.start]))
        controls = np.flatnonzero(self.bytes < 32)
        signs = self.bytes[controls]
        self.mark_irregular(controls[(signs != 10) & (signs != 13) & (signs != 9)])
        quotes = self.bytes == 34
        slashes = np.zeros(0, np.int64)
        if b"\\" in self.data:
            slashes = np.flatnonzero(self.bytes == 92)
            after = escaped(slashes)
            quotes[after[after < len(quotes)]] = False
        return quotes, slashes

    def scalars(self, inside: Bools) -> tuple[Ints, Ints]:
        """Return the begin and end of each number and literal. Invalid text between them becomes a part
        of the line's shape. The JSON parser then finds that the shape is not valid JSON."""
        signs = self.bytes
        bare = np.zeros(len(signs) + 2, np.bool_)
        some = (signs >= 43) & (signs < 123) & (signs != 44) & (signs != 58)
        bare[1:-1] = some & (signs != 91) & (signs != 93) & ~inside
        edges = np.flatnonzero(bare[1:] != bare[:-1])
        starts, ends = edges[0::2], edges[1::2]
        self.check_scalars(starts, ends, np.flatnonzero(bare[1:-1]))
        return starts, ends

    def before_colon(self, closed: Ints) -> Bools:
        """Return, for each closing quote, whether it ends a member's name. closed: the offsets of the
        closing quotes."""
        found = self.padded[closed + 1]
        spaced = np.flatnonzero((found == 32) | (found == 9) | (found == 13))
        places = closed[spaced] + 1
        while len(spaced):
            places = np.minimum(places + 1, len(self.bytes))
            found[spaced] = self.padded[places]
            more = (found[spaced] == 32) | (found[spaced] == 9) | (found[spaced] == 13)
            spaced, places = spaced[more], places[more]
        return np.asarray(found == ord(":"))

    def check_scalars(self, starts: Ints, ends: Ints, signs: Ints) -> None:
        """Raise NotUniform unless each scalar is a number, true, false or null. signs: the offsets of
        all bytes of all scalars."""
        if not len(starts):
            return
        head, last = self.bytes[starts], self.bytes[ends - 1]
        minus = head == 45
        digits = starts + minus
        second = self.padded[digits + 1]
        plain = _DIGIT[self.padded[digits]] & _DIGIT[last]
        plain &= ~((self.padded[digits] == 48) & (ends - digits > 1) & _DIGIT[second])
        found = self.bytes[signs]
        places = np.flatnonzero((found < 48) | (found > 57))
        others, found = signs[places], found[places]
        owners = np.searchsorted(starts, others, "right") - 1
        points = np.bincount(owners[found == 46], minlength=len(starts))
        plain &= points <= 1
        invalid = (found != 46) & ~((found == 45) & (others == starts[owners]))
        plain[owners[invalid]] = False
        left = np.flatnonzero(~plain)
        if len(left):
            texts = _slices(self.data, starts[left], ends[left]).cast(pa.binary())
            try:
                texts = texts.cast(pa.string())
            except pa.ArrowInvalid:
                self.mark_irregular(starts[left])
            good = pc.or_(
                pc.is_in(texts, value_set=_WORDS), pc.match_substring_regex(texts, _NUMBER)
            )
            self.mark_irregular(starts[left[~good.to_numpy(zero_copy_only=False)]])

    def shapes(self, starts: Ints, ends: Ints, scalars: Ints, first: Ints) -> pa.DictionaryArray:
        """Return the shape of each line, that is, its text without leaves. Each number or literal is
        replaced by 0. scalars: the begin of each number and literal. first: as in `Scan`."""
        signs = self.bytes.copy()
        signs[scalars] = 48
        bounds = np.empty(2 * len(starts) + 2, np.int32)
        bounds[0], bounds[-1] = 0, len(signs)
        bounds[1:-1:2], bounds[2:-1:2] = starts, ends
        kept_offsets = _every_other(bounds, signs).buffers()[2]
        gone = np.concatenate(([0], np.cumsum(ends - starts)))
        offsets = np.append(self.starts - gone[first], len(signs) - gone[-1]).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), kept_offsets]
        return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers).dictionary_encode()

    def unescaped(
        self, slashes: Ints, starts: Ints, ends: Ints, is_text: Bools
    ) -> tuple[Ints, pa.Array]:
        """Return (indexes of the leaves that contain escapes, decoded texts of these leaves). slashes:
        the offsets of all backslashes."""
        if not len(slashes) or not len(starts):
            return np.zeros(0, np.int64), pa.array([], pa.string())
        owners = np.searchsorted(starts, slashes, "right") - 1
        within = (owners >= 0) & (slashes < ends[owners]) & is_text[owners]
        leaves = np.unique(owners[within])
        coded = _slices(self.data, starts[leaves], ends[leaves]).dictionary_encode()
        found = [_decoded(text) for text in coded.dictionary.to_pylist()]
        meant = pa.array(found, pa.string()).take(coded.indices)
        self.mark_irregular(starts[leaves[meant.is_null().to_numpy(zero_copy_only=False)]])
        return leaves, meant


def escaped(slashes: Ints) -> Ints:
    """Return the offsets of escaped characters. slashes: the offsets of all backslashes. In a run of
    backslashes, every second one is itself escaped."""
    begins = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    runs = np.repeat(begins, np.diff(begins, append=len(slashes)))
    after: Ints = slashes[(np.arange(len(slashes)) - runs) % 2 == 0] + 1
    return after


def inside_strings(quotes: Bools) -> Bools:
    """Return, for each byte, whether it is inside a string. The opening quote counts as inside.
    Processes eight bytes at a time: the multiplication by 0x0101010101010101 sets each byte to the
    number of quotes up to it."""
    padded = np.zeros(-(-len(quotes) // 8) * 8, np.uint8)
    padded[: len(quotes)] = quotes
    sums = padded.view("<u8") * _ONES
    before = np.cumsum(sums >> _TOP)
    before[1:] = before[:-1].copy()
    before[:1] = 0
    sums += (before & np.uint64(1)) * _ONES
    inside: Bools = (sums.view(np.uint8)[: len(quotes)] & 1).view(np.bool_)
    return inside


def _slices(data: bytes, starts: Ints, ends: Ints) -> pa.Array:
    """Return the part of `data` between each start and its end. The parts must be in ascending order."""
    return _every_other(np.stack((starts, ends), axis=1).ravel().astype(np.int32), data)


def _every_other(bounds: npt.NDArray[np.int32], data: bytes | Bytes) -> pa.Array:
    """Return the part of `data` between the first and second bound, between the third and fourth bound,
    and so on."""
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    all_slices = pa.Array.from_buffers(pa.binary(), max(len(bounds) - 1, 0), buffers)
    return all_slices.take(pa.array(np.arange(0, len(all_slices), 2)))


def _decoded(text: bytes) -> str | None:
    try:
        found = json.loads(b'"%b"' % text)
        found.encode()
    except ValueError:
        return None
    return str(found)
