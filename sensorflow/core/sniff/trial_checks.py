"""Checks a proposal by its preview. Some problems are corrected. The others become questions for the
user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from sensorflow.core.sniff import lines, numeric, sensor_columns, types, units, words
from sensorflow.core.sniff.guess import Guess
from sensorflow.core.sniff.table import Column, Table
from sensorflow.core.sniff.trial import Trial
from sensorflow.errors import Code

RunTrial = Callable[[Guess], Trial]
"""Reads the beginning of the file with a proposed profile, and returns the preview."""
PARTS = 2
"""Maximum number of columns that are added to the names of sensors and types."""
SAME_SHARE = 0.01
MAX_TRIALS = 4
"""Maximum number of alternatives that are tested for one correction."""
MAX_COLUMNS = 1000
"""If a table has more columns than this, no corrections are tested."""


def checked_by_trial(guess: Guess, table: Table, run_trial: RunTrial) -> tuple[Guess, Trial]:
    """Return (corrected proposal, its preview). Remaining problems are questions in its `todo`."""
    trial = run_trial(guess)
    if len(table.columns) > MAX_COLUMNS:  # each trial would take seconds
        return replace(guess, todo=(*guess.todo, *doubts(guess, trial))), trial
    for _ in range(PARTS):
        if (
            trial.error is not None
            or trial.collisions + trial.repeats <= SAME_SHARE * trial.readings
        ):
            break
        better = _clearly_better(guess, trial, _with_finer_names(guess, table), run_trial)
        if better is None:
            break
        guess, trial = better
    if trial.error is not None or trial.rejects_many():
        guess, trial = _clearly_better(
            guess, trial, _with_other_numbers(guess, trial), run_trial
        ) or (
            guess,
            trial,
        )
    return replace(guess, todo=(*guess.todo, *doubts(guess, trial))), trial


def checked_library_guess(guess: Guess, run_trial: RunTrial) -> Guess:
    """Return the checked proposal for a file of a known kind. The proposal needs a zone if times are
    rejected because they have none. Other problems become questions in its `todo`."""
    trial = run_trial(guess)
    if trial.rejects_many() and any(r.code is Code.TIMESTAMP_NO_ZONE for r in trial.rejects):
        guess = replace(guess, needs_zone=True)
        trial = run_trial(guess)
    return replace(guess, todo=(*guess.todo, *doubts(guess, trial)))


def _clearly_better(
    guess: Guess, trial: Trial, others: Iterable[Guess], run_trial: RunTrial
) -> tuple[Guess, Trial] | None:
    """Return (proposal, its preview) for the first alternative that fits clearly better, or None if
    there is none. others: the alternatives. Only the first `MAX_TRIALS` of them are tested."""
    for other in islice(others, MAX_TRIALS):
        found = run_trial(other)
        lost, lost_before = _lost(trial), _lost(found)
        if found.error is None and lost_before <= 0.5 * lost and found.cost < trial.cost:
            return other, found
    return None


def _lost(trial: Trial) -> float:
    if trial.error is not None or not trial.readings:
        return 1.0
    lost = trial.rejected + trial.collisions + trial.repeats
    return lost / (trial.readings + trial.rejected)


def _with_finer_names(guess: Guess, table: Table) -> Iterator[Guess]:
    """Yield proposals in which the name of the sensor or type is composed of one more column. The column
    that distinguishes the most rows comes first."""
    named = {c.reference: c for c in table.columns}
    origins = [lines.of(guess, "sensor"), lines.of(guess, "type")]
    keys = [*lines.timed(guess), *(name for o in origins for name in lines.references(o))]
    columns = [named[name] for name in keys if name in named]
    if not columns:
        return
    rows = ["\0".join(row) for row in zip(*(c.cells for c in columns), strict=True)]
    before = sensor_columns.tells_rows_apart(rows, [])
    used = {*keys, lines.of(guess, "value")}
    single = len(set(rows)) == 1
    some = [c for c in table.columns if c.reference not in used and _may_name(c, single)]
    candidates = [(sensor_columns.tells_rows_apart(rows, [c]), c) for c in some]
    better = [(after, c) for after, c in candidates if 1 - after <= 0.5 * (1 - before)]
    better = [
        (after, c) for after, c in better if not _is_measured(c) or sensor_columns.is_panel(rows, c)
    ]
    for _, column in sorted(better, key=lambda pair: _rank(*pair)):
        refined = lines.used(guess, column)
        if refined is None:
            continue
        typed = lines.with_type(refined, column) if _is_type(column, table) else None
        yield typed or lines.with_sensor(refined, column)


def _rank(after: float, column: Column) -> tuple[float, ...]:
    titled = column.says(words.SENSOR) or column.says(words.KIND)
    unit = column.says(words.UNIT)
    return (
        unit,
        -round(after, 2),
        not titled,
        _is_measured(column),
        len(column.counts),
        column.index,
    )


def _may_name(column: Column, single: bool) -> bool:
    """Return whether a column may contain names of sensors or types. single: whether all rows have the
    same time and the same names."""
    aside = (words.FLAG, words.REMARK, words.TIME, words.ASIDE, words.VALUE)
    return (
        len(column.counts) > 1
        and (single or column.above or _is_id(column) or _repeats(column))
        and column.filled > 0.9 * len(column.cells)
        and not any(map(column.says, aside))
    )


def _repeats(column: Column) -> bool:
    return len(column.counts) <= max(2, 0.5 * column.filled)


def _is_id(column: Column) -> bool:
    """Return whether a column may contain names of sensors even if all its texts differ, as in a table
    with one row per device."""
    return column.says(words.NUMBERED) or column.says(r"(^|[^a-z])mac([^a-z]|$)")


def _is_measured(column: Column) -> bool:
    """Return whether a column may contain readings: its cells are numbers, and its title is not that of
    a name."""
    named = column.says(words.IDENTITY) or column.says(words.SENSOR) or column.says(words.KIND)
    return numeric.numeric(column) is not None and (
        not named or sensor_columns.has_quantity(column)
    )


def _is_type(column: Column, table: Table) -> bool:
    texts = [c for c in table.columns if numeric.numeric(c) is None]
    if column.says(words.DEVICE):
        return False
    statistic = re.search(r"(?i)^stats?$|statistic|aggreg|method|variant|percentile", column.title)
    named = column.says(words.KIND) or column.says(words.UNIT) or statistic is not None
    return named or types.tells_type(column, texts)


def _with_other_numbers(guess: Guess, trial: Trial) -> Iterator[Guess]:
    """Yield proposals in which decimal point and decimal comma are exchanged."""
    if not any(r.code is Code.VALUE_NOT_A_NUMBER for r in trial.rejects):
        return
    plain = lines.without(lines.without(guess, "thousands"), "decimal")
    if lines.of(guess, "decimal") == ",":
        yield plain
        yield lines.put(plain, "thousands", ",", "with this, most cells are numbers")
    else:
        yield lines.put(plain, "decimal", ",", "with this, most cells are numbers")
        dotted = lines.put(plain, "decimal", ",", "with this, most cells are numbers")
        yield lines.put(dotted, "thousands", ".", "thousands separator")


def doubts(guess: Guess, trial: Trial) -> list[str]:
    """Return the problems that the preview shows, as questions for the user. Most questions contain an
    example."""
    if trial.error is not None:
        return [f"this profile cannot read the file: {_plainly(str(trial.error))}"]
    found: list[str] = []
    if not trial.readings and not trial.rejected:
        found.append(
            f"in the first {trial.rows:,} rows, no cell is a number: all values are missing"
        )
    if trial.rejects_many():
        found.append(_rejecting(trial))
    if trial.collides():
        found.append(
            f"{trial.collisions:,} of the first {trial.readings:,} readings have the same sensor, time and "
            f"type as another reading, but another value: {_plainly(trial.example)}; "
            "what distinguishes them?"
        )
    return found + list(_mixed(trial))


def _rejecting(trial: Trial) -> str:
    code, _ = Counter(r.code for r in trial.rejects).most_common(1)[0]
    first = next(r for r in trial.rejects if r.code is code)
    all_ = trial.rejected + trial.readings
    return (
        f"{trial.rejected:,} of the first {all_:,} readings are rejected: line {first.line_no}: "
        f"{_plainly(first.reason)}"
    )


def _mixed(trial: Trial) -> Iterator[str]:
    """Yield a question for each type whose readings have units of different quantities."""
    for kind, found in trial.units.items():
        if len(found) > 1 and not units.are_akin(found):
            listed = ", ".join(unit or "none" for unit in list(found)[:5])
            yield f"readings of type {_plainly(kind)!r} have the units {listed}: are they of several types?"


def _plainly(text: str) -> str:
    return " ".join(text.split())[:200]
