"""Bugs of one line each, all planted in one copy of the code: the comparison must find every one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from same.compare import Difference


@dataclass(frozen=True)
class PlantedBug:
    """A text that stands once in the product, wherever that is, what takes its place, and what is found."""

    about: str
    old: str
    new: str
    found: str
    """A regular expression of a difference."""


PLANTS = (
    PlantedBug(
        "a column of the ledger",
        "mtime_ns=file.stat.mtime_ns,",
        "mtime_ns=file.stat.mtime_ns + 1,",
        r"table files \[\d+ plant/\S+\]\.mtime_ns: ",
    ),
    PlantedBug(
        "a text of the history",
        "readings of the older version outside the new version's time span",
        "readings outside its span are gone",
        r"table file_events \[\d+ replaced/.*\.why: .*time span.* -> ",
    ),
    PlantedBug(
        "a part of the dedupe key, of the second reading of a time alone",
        'pc.if_else(later, _netstrings(ordinals.cast(pa.string())), "")',
        'pc.if_else(later, _netstrings(pc.add(ordinals, 1).cast(pa.string())), "")',
        r"reading \d+ plant/repeated-\S+ row \d+: ",
    ),
    PlantedBug(
        "a field of the message",
        '"subject": printable(waiting.key),',
        '"subject": printable(waiting.key).upper(),',
        r"message \d+\.body\[0\]\[0\]\.subject: ",
    ),
    PlantedBug(
        "a key of JSON",
        '"no_file_yet": self.unseen,',
        '"no_files_yet": self.unseen,',
        r"command \d+ status --json \$0\.no_file_yet.*: ",
    ),
    PlantedBug(
        "a value of silver",
        'bronze["quality"].to_numpy() | watch.flags(bronze)',
        'bronze["quality"].to_numpy() | watch.flags(bronze) | (ordinal != 0).astype(np.int16)',
        r"lake silver/\S+ rows row \d+: ",
    ),
    PlantedBug(
        "a condition of the schema",
        "kind IN ('new', 'alias')",
        "kind IN ('new', 'alias', 'other')",
        r"schema constraint arrivals ck_arrivals_kind: ",
    ),
    PlantedBug(
        "a text of a command",
        "Show and replay quarantined files",
        "Show and replay files",
        r"command \d+ quarantine --help stdout row \d+: ",
    ),
)


def plant(tree: Path) -> None:
    """All of them, in a copy of the code. Raises AssertionError where a text does not stand once."""
    places = [
        p for part in ("sensorflow", "workers", "migrations") for p in (tree / part).rglob("*.*")
    ]
    texts = {p: p.read_text("utf-8") for p in places if p.suffix in (".py", ".sql")}
    for bug in PLANTS:
        holding = [p for p, text in texts.items() if bug.old in text and not _aside(p)]
        assert holding, f"{bug.about}: {bug.old!r} is nowhere"
        for path in holding:
            texts[path] = texts[path].replace(bug.old, bug.new)
            path.write_text(texts[path], "utf-8")


def _aside(path: Path) -> bool:
    """What no server runs: the adapters in memory."""
    return "memory" in path.parts or "testing" in path.parts


def proven(found: Sequence[Difference]) -> int:
    """Says of each bug whether it was found, and where first; returns how many were not."""
    missed = 0
    shown = [str(difference) for difference in found]
    for bug in PLANTS:
        hits = [text for text in shown if re.search(bug.found, text)]
        missed += not hits
        print(f"{'found' if hits else 'NOT FOUND'}: {bug.about}: {(hits or [bug.found])[0][:160]}")
    print(f"same-proof: {len(PLANTS) - missed} of {len(PLANTS)} bugs found")
    return missed
