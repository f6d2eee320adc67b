"""Advice for a profile that refers to a missing column, based on the columns that the file has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sensorflow.core.nearest import nearest
from sensorflow.core.profile import Profile

DELIMITERS = {",": '","', ";": '";"', "\t": '"\\t"', "|": '"|"'}
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?$|\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{2,4}")
NAMES = "correct the column's name in the profile, or make the column optional; then replay"


def advice(reference: str, names: Sequence[str], profile: Profile) -> str:
    """Return advice for a profile that refers to the column `reference` although the file has only the
    columns `names`."""
    if profile.format not in ("csv", "xlsx"):
        return _named(reference, names) or NAMES
    if profile.format == "csv" and len(names) == 1 and not profile.widths:
        other = max(DELIMITERS, key=names[0].count)
        if names[0].count(other) and other != profile.delimiter:
            delimiter = DELIMITERS[other]
            return f"the header is a single cell: set delimiter = {delimiter} in the profile, then replay"
        if len(names[0].split()) > 1 and profile.delimiter != "whitespace":
            return (
                'the header is a single cell: check delimiter = "whitespace" or widths, then replay'
            )
    if not profile.widths and (named := _named(reference, names)):
        return named
    if any(NUMBER.match(name) for name in names):
        return (
            "the header found looks like a row of data: correct skip, skip_until or header in the "
            "profile, or give names; then replay"
        )
    keys = "widths, skip or skip_until" if profile.widths else "skip, skip_until or delimiter"
    if reference.isascii() and sum(not name.isascii() for name in names) > len(names) / 2:
        keys = f"encoding, {keys}"
    return f"{NAMES}. If another line is the header, correct {keys}"


def _named(reference: str, names: Sequence[str]) -> str | None:
    """Return a message that suggests the name most similar to `reference`, or None if no name is
    similar."""
    plain = {name.casefold(): name for name in names if name}
    close = nearest(reference.casefold(), plain, 0.8)
    return f"did you mean {plain[close]!r}? {NAMES[0].upper()}{NAMES[1:]}" if close else None
