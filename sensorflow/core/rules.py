"""Applies a profile's rules to readings, depending on the reading type. Readings that violate a rule are
rejected or flagged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.codes import Codes, no_codes
from sensorflow.core.patterns import search
from sensorflow.core.profile.rules import Rule
from sensorflow.core.readings import Flag
from sensorflow.core.series import Last, Series
from sensorflow.errors import Code

Bools = npt.NDArray[np.bool_]

FLAGS: dict[Code, Flag] = {
    Code.RULE_RANGE: Flag.RANGE,
    Code.RULE_FUTURE: Flag.FUTURE,
    Code.RULE_UNIT: Flag.UNIT,
    Code.RULE_MONOTONIC: Flag.MONOTONIC,
    Code.RULE_INTEGER: Flag.INTEGER,
    Code.RULE_ALLOWED: Flag.ALLOWED,
}
"""The quality flag of each rule."""


def matching(rules: Mapping[str, Sequence[Rule]], kind: str) -> Iterator[Rule]:
    """Yield the rules that apply to a reading type: the rules under its name, under a "~regex" that matches
    the name, and under "*"."""
    for name, found in rules.items():
        if name in ("*", kind) or (name.startswith("~") and search(name[1:], kind)):
            yield from found


@dataclass(frozen=True)
class Ruled:
    """The result of applying rules to a batch. codes: the reject code of each reading, or 0. reasons: row
    -> message for a rejected reading. flags: the quality flags of each reading, see `FLAGS`."""

    codes: Codes
    reasons: dict[int, str]
    flags: npt.NDArray[np.int16]


class Rules:
    """Applies rules to the batches of a file, in order. Stores the last value of each series between
    batches."""

    def __init__(self, rules: Mapping[str, Sequence[Rule]], received: int | None) -> None:
        """received: when the file arrived, in nanoseconds since 1970, for the rule `future`."""
        self._rules, self._received = rules, received
        self._series = Series()
        self._last = Last(np.nan, np.float64)
        self._ordered = any(rule.monotonic for found in rules.values() for rule in found)

    def apply(self, readings: pa.RecordBatch) -> Ruled:
        """Apply the rules to a batch. readings: with the columns ts, sensor_id, reading_type, unit and
        value."""
        count = len(readings)
        found = Ruled(no_codes(count), {}, np.zeros(count, np.int16))
        if not self._rules or not count:
            return found
        values = readings["value"].to_numpy()
        self._all(readings, values, None, found)
        if self._ordered:  # compare each reading with the previous one that is not rejected
            good = np.flatnonzero(found.codes == 0)
            before = values.copy()
            before[good] = self._last.before(self._series.of(readings)[good], values[good])
            self._all(readings, values, before, found)
        return found

    def _all(
        self,
        readings: pa.RecordBatch,
        values: npt.NDArray[np.float64],
        before: npt.NDArray[np.float64] | None,
        found: Ruled,
    ) -> None:
        kinds = pc.dictionary_encode(readings["reading_type"])
        for code, kind in enumerate(kinds.dictionary.to_pylist()):
            of_kind = kinds.indices.to_numpy() == code
            for rule in matching(self._rules, kind):
                self._one(rule, kind, of_kind, readings, values, before, found)

    def _one(
        self,
        rule: Rule,
        kind: str,
        of_kind: Bools,
        readings: pa.RecordBatch,
        values: npt.NDArray[np.float64],
        before: npt.NDArray[np.float64] | None,
        found: Ruled,
    ) -> None:
        broken = (
            self._broken(rule, readings, values)
            if before is None
            else _disordered(rule, values, before)
        )
        for code, bad, wanted in broken:
            bad = of_kind & bad
            if rule.severity == "flag":
                found.flags[bad] |= FLAGS[code]
                continue
            for row in np.flatnonzero(bad & (found.codes == 0)).tolist():
                found.codes[row] = code.number
                shown = (
                    readings["unit"][row].as_py() if code is Code.RULE_UNIT else float(values[row])
                )
                found.reasons[row] = f"{kind}: {shown!r} {wanted}"

    def _broken(
        self,
        rule: Rule,
        readings: pa.RecordBatch,
        values: npt.NDArray[np.float64],
    ) -> Iterator[tuple[Code, Bools, str]]:
        if rule.integer:
            yield Code.RULE_INTEGER, values != np.trunc(values), "is not a whole number"
        if rule.min is not None:
            yield Code.RULE_RANGE, values < rule.min, f"is less than {rule.min:g}"
        if rule.max is not None:
            yield Code.RULE_RANGE, values > rule.max, f"is greater than {rule.max:g}"
        if rule.units is not None:
            known = pc.is_in(readings["unit"], value_set=pa.array(rule.units, pa.string()))
            bad = ~np.asarray(known.to_numpy(zero_copy_only=False), np.bool_)
            yield Code.RULE_UNIT, bad, f"is not one of the units {', '.join(rule.units)}"
        if rule.allowed is not None:
            bad = ~np.isin(values, rule.allowed)
            yield (
                Code.RULE_ALLOWED,
                bad,
                f"is not one of {', '.join(f'{v:g}' for v in rule.allowed)}",
            )
        if rule.future is not None and self._received is not None:
            ahead = self._received + int(rule.future * 1e9)
            ts = readings["ts"].cast(pa.int64()).to_numpy()
            yield Code.RULE_FUTURE, ts > ahead, "has a time after the file's arrival"


def _disordered(
    rule: Rule, values: npt.NDArray[np.float64], before: npt.NDArray[np.float64]
) -> Iterator[tuple[Code, Bools, str]]:
    if rule.monotonic == "increasing":
        yield Code.RULE_MONOTONIC, values < before, "is less than the previous value"
    if rule.monotonic == "decreasing":
        yield Code.RULE_MONOTONIC, values > before, "is greater than the previous value"
