"""The fixed corpus, and the way that it takes: the same bytes, names and times at each run.

One file at a time, each until it is finished: so numbers of files are the same on both sides, whatever the
machine does meanwhile. Where several are to meet in the broker, they wait there before a worker is started.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from fleet import HEAD, rows, text
from same.contents import (
    clocked,
    drawn,
    gzipped,
    json_lines,
    missing,
    parquet,
    plain,
    rejected,
    renewed,
    repeated,
    station,
    tarred,
    zipped,
)
from same.project import BORN, real
from same.steps import (
    Age,
    Dump,
    GrowFile,
    Messages,
    PutFile,
    RemoveData,
    RunCommand,
    Start,
    Step,
    Stop,
    WaitCondition,
    WaitForGarbageCollection,
    WaitUntilIdle,
)

WORDS = ("--json",)


# --- groups of files: (source, name, content) ---

Files = Iterator[tuple[str, str, bytes]]


def _outbox() -> Files:
    for number in range(9):
        yield "outbox", f"small-{number}.csv", plain(number)
    yield "outbox", "large.csv", plain(9, 3000)
    for number in range(10, 12):
        yield "outbox", f"late-{number}.csv.gz", gzipped(plain(number))


def _plant() -> Files:
    for number in range(100, 140):
        yield "plant", f"file-{number}.csv", plain(number)
    for number in range(140, 150):
        yield "plant", f"deep/file-{number}.csv.gz", gzipped(plain(number))
    for number in range(150, 158):
        yield "plant", f"rejects-{number}.csv", rejected(number, 1 + number % 3)
    for number in range(158, 164):
        yield "plant", f"missing-{number}.csv", missing(number)
    for number in range(164, 168):
        yield "plant", f"repeated-{number}.csv", repeated(number)
    for number in range(168, 171):
        yield "plant", f"chain-{number}.csv", plain(number, 2500)
    yield "plant", "chain-rejects.csv", rejected(171) + plain(172, 2500)[len(HEAD) :]
    for number in range(100, 105):
        yield "plant", f"again-{number}.csv", plain(number)
    yield "plant", "file-110.csv", plain(110)  # the same bytes under the same name
    for number in range(105, 110):
        yield "plant", f"file-{number}.csv", renewed(number)
    yield "plant", "file-105.csv", plain(105)  # back to what it was
    yield "plant", "rejects-150.csv", renewed(150)


def _bad() -> Files:
    yield "plant", "empty.csv", b""
    yield "plant", "header.csv", HEAD.encode()
    yield "plant", "truncated.csv.gz", gzipped(plain(180))[:90]
    yield "plant", "no-gzip.csv.gz", b"\x1f\x8bno gzip"
    yield "plant", "column.csv", plain(181).replace(b"sensor", b"senzor", 1)
    yield "plant", "rejected.csv", rejected(182, 6)
    yield "plant", "line.csv", HEAD.encode() + b"x" * 3_000_000
    yield "plant", "chain-truncated.csv.gz", gzipped(plain(183, 8000))[:70_000]
    yield "plant", "two.zip", zipped({"a.csv": plain(184), "b.csv": plain(185)})
    yield "strict", "new.csv", station(186, head="when;temp;hum;note")
    yield "strict", "early.csv", station(187).replace(b".2026", b".2011", 1)
    yield "strict", "months.csv", _months()
    yield "lines", "broken.jsonl", json_lines(188, bad=True)
    yield "columns", "broken.parquet", b"PAR1 nothing PAR1"


def _months() -> bytes:
    times = [f"01.{m:02}.{y} 12:00" for y in range(2021, 2024) for m in range(1, 13)]
    return ("when;temp;hum\n" + "".join(f"{t};1,5;50\n" for t in times)).encode()


def _versions() -> Files:
    for source, first in (("replaced", 200), ("both", 210), ("first", 220)):
        for number in range(first, first + 4):
            yield source, f"v-{number}.csv", plain(number)
        for number in range(first, first + 3):
            yield source, f"v-{number}.csv", renewed(number)
        # the middle of what it was
        yield source, f"v-{first + 3}.csv", text(rows(first + 3, 20, drawn(first + 3))[5:15])
        yield source, f"v-{first}.csv", plain(first)
        yield source, f"v-{first + 1}.csv", plain(first + 1, 2500)


def _windows() -> Files:
    """Overlapping ones, the third of another value, the last of the first one's bytes."""
    found = rows(230, 60, drawn(230))
    for number, begin in enumerate((0, 10, 20, 40)):
        yield "overlap", f"window-{number}.csv", text(found[begin : begin + 20])
    changed = [(t, s, v + 1) for t, s, v in found[30:40]]
    yield "overlap", "window-4.csv", text(changed)
    yield "overlap", "window-5.csv", text(found[:20])
    yield "overlap", "window-0.csv", text(found[:25])
    yield "overlap", "window-6.csv", text(found) + plain(231, 2500)[len(HEAD) :]


def _others() -> Files:
    value = b"time,value\n" + b"".join(b"2026-02-01T00:00:%02dZ,%d.5\n" % (s, s) for s in range(20))
    for name in ("alpha-1.csv", "beta-1.csv", "gamma-1.csv", "alpha-2.csv", "9.csv"):
        yield "named", name, value
    for number in range(240, 246):
        yield "wide", f"station-{number}.csv", station(number)
    yield "wide", "rescued.csv", station(246, head="when;temp;hum;note")
    yield "wide", "missing.csv", station(247, head="when;temp;mois")
    yield "wide", "clock.csv", clocked(248)
    yield "wide", "range.csv", station(249).replace(b";n/a", b";120", 1)
    for number in range(250, 256):
        yield "lines", f"events-{number}.jsonl", json_lines(number)
    for number in range(256, 260):
        yield "columns", f"table-{number}.parquet", parquet(number)
    for number in range(260, 266):
        yield "kept", f"kept-{number}.csv", rejected(number, 1)
    yield "kept", "kept-260.csv", renewed(260)


def _archives() -> Files:
    members = {f"m-{n}.csv": plain(n) for n in range(270, 275)}
    yield "packed", "all.zip", zipped(members)
    yield "packed", "tape.tar.gz", tarred({f"t/m-{n}.csv": plain(n) for n in range(275, 279)})
    mixed = {"good.csv": plain(279), "empty.csv": b"", "bad.csv": rejected(280, 6)}
    yield "packed", "mixed.zip", zipped({**mixed, "note.md": b"# not taken\n"})
    yield "packed", "again.zip", zipped({"m-270.csv": renewed(270), "m-271.csv": plain(271)})
    yield "packed", "broken.zip", zipped(members)[:300]
    yield "packed", "plain.csv", plain(281)


# --- the way ---


def _puts(
    files: Files, clock: Iterator[int], until: WaitCondition = WaitCondition.FINISHED
) -> Iterator[Step]:
    for source, name, content in files:
        yield PutFile(source, name, content, next(clock), until)


def _mtimes() -> Iterator[int]:
    number = BORN
    while True:
        yield number
        number += 1


def _growing(clock: Iterator[int]) -> Iterator[Step]:
    lines = plain(300, 60).splitlines(keepends=True)
    at = 0
    for begin, end in ((0, 21), (21, 30), (30, 31), (31, 61)):
        part = b"".join(lines[begin:end])
        yield GrowFile("logger", "grows.csv", part, next(clock), at)
        at += len(part)
    repeats = plain(301, 15)
    yield GrowFile("logger", "repeats.csv", repeats, next(clock))
    more = b"".join(repeats.splitlines(keepends=True)[8:]) + b"not,a,reading\n"
    yield GrowFile("logger", "repeats.csv", more, next(clock), len(repeats))
    yield GrowFile("logger", "long.csv", plain(302, 2500), next(clock))
    # begun anew under its name, with some of what it had
    yield PutFile("logger", "grows.csv", renewed(300), next(clock))


def _gated(clock: Iterator[int]) -> Iterator[Step]:
    def gate(source: str, name: str, content: bytes) -> Step:
        return PutFile(source, name, content, next(clock), WaitCondition.NOTHING)

    def digest(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    for number in range(310, 314):
        name, content = f"sum-{number}.csv", plain(number)
        yield gate("sums", f"{name}.sha256", f"{digest(content)}  {name}\n".encode())
        yield PutFile("sums", name, content, next(clock))
    yield gate("sums", "wrong.csv.sha256", f"{digest(b'other')}  wrong.csv\n".encode())
    yield PutFile("sums", "wrong.csv", plain(314), next(clock))
    yield gate("sums", "waits.csv", plain(315))
    yield gate("sums", "alone.csv.sha256", f"{digest(b'late')}  alone.csv\n".encode())
    files = {f"set-{n}.csv": plain(n) for n in range(316, 319)}
    listed = [
        {"name": n, "size": len(c), "sha256": digest(c), "rows": 20 + (n == "set-318.csv")}
        for n, c in files.items()
    ]
    for number, (name, content) in enumerate(files.items()):
        announced = json.dumps({"files": [listed[number]]}).encode()
        yield gate("sets", f"{number}.manifest.json", announced)
        yield PutFile("sets", name, content, next(clock))


def _documents() -> Iterator[Step]:
    """What the commands print, as JSON and as texts."""
    names = [path.name for path in real()]
    for words in (
        ("files", "ls", "-n", "1000"),
        ("files", "ls", "-n", "1000", "--each", "--source", "logger"),
        ("files", "ls", "--state", "quarantined"),
        ("rejects", "ls", "-n", "1000"),
        ("rejects", "stats"),
        ("quarantine", "ls"),
        ("status",),
        ("doctor",),
        ("sources", "ls"),
        ("profiles", "ls"),
        ("retention",),
        ("replay", "--source", "plant", "--dry-run"),
        ("audit",),
        ("audit", "--fast"),
        ("audit", "--checksum", "--deep"),
        (
            "check",
            *(f"given/{n}" for n in ("rejects.csv", "good.csv", "broken.csv.gz")),
            "-p",
            "long",
        ),
        ("check", "given/station.csv", "-p", "station"),
        ("check", f"given/{names[7]}", f"given/{names[15]}"),
        ("sniff", "given/good.csv"),
        ("sniff", "given/station.csv"),
    ):
        yield RunCommand((*words, *WORDS))
        yield RunCommand(words)
    for number in (1, 10, 2, 13, 60, 120):
        yield RunCommand(("files", "show", str(number), *WORDS))
        yield RunCommand(("files", "show", str(number)))
    for name in ("file-105.csv", "rejects-150.csv", "v-200.csv", "v-210.csv", "v-220.csv"):
        yield RunCommand(("files", "show", name, *WORDS))
    for name in ("grows.csv", "all.zip", "wrong.csv", "chain-rejects.csv", "kept-260.csv"):
        yield RunCommand(("files", "show", name, *WORDS))
        yield RunCommand(("files", "show", name))
    yield RunCommand(("rejects", "show", "rejects-151.csv", *WORDS))
    yield RunCommand(("rejects", "show", "rejects-151.csv"))
    yield RunCommand(("quarantine", "show", "wrong.csv"))
    yield RunCommand(("quarantine", "show", "truncated.csv.gz"))
    yield RunCommand(("files", "of-row", "s111", "temperature", "2026-02-01T00:00:03Z", *WORDS))
    for name in ("long", "station", "hobo", "real12"):
        yield RunCommand(("profiles", "show", name))
    yield RunCommand(("profiles", "show", "long", "--as", "csvw"))
    yield RunCommand(("status", "--check"))
    yield RunCommand(("files", "show", "nothing.csv"))
    yield RunCommand(("files", "ls", "--source", "plnt"))
    yield RunCommand(("db", "current"))
    for number, name in enumerate(names, 1):
        yield RunCommand(
            ("check", f"given/{name}", "--profile", f"profiles/real{number:02}.toml", *WORDS)
        )
    for name in (names[0], names[6], names[12], names[14], names[24], names[32]):
        yield RunCommand(("sniff", f"given/{name}", *WORDS))


def steps() -> list[Step]:
    return list(_steps())


def few() -> list[Step]:
    """A few files of each kind: enough for `proof`."""
    return list(_few())


def _few() -> Iterator[Step]:
    clock = _mtimes()
    plant, replaced = list(_plant()), list(_versions())[:8]
    yield RunCommand(("db", "upgrade"))
    yield Start("daemon")
    yield from _puts(iter(list(_outbox())[:4]), clock, WaitCondition.REGISTERED)
    yield Messages("new files", 4)
    yield Start("worker")
    yield WaitUntilIdle()
    yield from _puts(iter(plant[50:72]), clock)
    yield from _puts(iter(replaced), clock)
    yield from _puts(_bad(), clock)
    yield RunCommand(("status", *WORDS))
    yield RunCommand(("files", "ls"))
    yield RunCommand(("quarantine", "--help"))
    yield Stop("worker")
    yield Stop("daemon")
    yield Dump("at the end")


def _steps() -> Iterator[Step]:
    clock = _mtimes()
    yield RunCommand(("db", "upgrade"))
    # what is published before anyone works on it
    yield Start("daemon", {"SENSORFLOW_MAX_IN_FLIGHT": "1"})
    yield from _puts(_outbox(), clock, WaitCondition.REGISTERED)
    yield Stop("daemon")
    yield Start("daemon", {"SENSORFLOW_GROUP_SMALL_FILES": "true"})
    yield Messages("new files", 6)
    yield Stop("daemon")
    yield Start("daemon")
    yield Start("worker")
    yield WaitUntilIdle()
    for group in (_plant(), _bad(), _versions(), _windows(), _others()):
        yield from _puts(group, clock)
    yield from _growing(clock)
    yield from _gated(clock)
    yield from _puts(_archives(), clock)
    for number, path in enumerate(real(), 1):
        yield PutFile(f"real{number:02}", path.name, path.read_bytes(), next(clock))
    yield Dump("loaded")
    yield from _documents()
    # what is done again and undone, seen in the broker first
    yield RunCommand(
        ("undo", "file-120.csv", "chain-168.csv", "v-210.csv", "--reason", "a test"), quiet=True
    )
    yield RunCommand(("undo", "file-121.csv", "window-0.csv", *WORDS), quiet=True)
    yield RunCommand(("undo", "file-105.csv@2", "v-200.csv@2"), quiet=True)
    yield Dump("undone")
    yield Stop("worker")
    yield RunCommand(("replay", "file-120.csv", "chain-168.csv", "rejects-151.csv"))
    yield RunCommand(("replay", "missing-158.csv", "--profile", "comma", *WORDS))
    yield RunCommand(("quarantine", "replay", "column.csv", "chain-truncated.csv.gz"))
    yield PutFile("first", "v-222.csv", plain(399), next(clock), WaitCondition.REGISTERED)
    yield Messages("done again", 7)
    yield Start("worker")
    yield WaitUntilIdle()
    yield RunCommand(("replay", "--source", "overlap"), quiet=True)
    yield RunCommand(("replay", "--source", "wide", "--rejected"), quiet=True)
    yield RunCommand(("replay", "--source", "packed"), quiet=True)
    yield RunCommand(("replay", "v-210.csv", "file-105.csv@2"), quiet=True)
    yield RunCommand(("backfill", "history", "--source", "old"), quiet=True)
    yield RunCommand(("backfill", "history", "--source", "old"), quiet=True)
    yield Age("kept", 7200)
    yield RunCommand(("retention", "--apply", *WORDS))
    yield RunCommand(("retention", "--apply"))
    yield RunCommand(("files", "show", "kept-260.csv"))
    # beat's own messages; its sweeps then remove what is left in the lake
    yield Stop("worker")
    yield Start("beat", {"SENSORFLOW_RECONCILE": "5"})
    yield Messages("beat", 1)
    yield Start("worker")
    yield WaitForGarbageCollection()
    yield Stop("beat")
    yield RunCommand(("audit", "--checksum", "--deep", *WORDS))
    yield RunCommand(("status", *WORDS))
    yield Dump("done again")
    yield RemoveData("silver/*/*/file-20-v1.parquet")
    yield RemoveData("landing/a*/*")
    yield RemoveData("quarantine/*/*")
    yield RunCommand(("audit", "--deep", *WORDS))
    yield RunCommand(("audit", "--repair"))
    yield RunCommand(("audit", "--repair", "--apply"), quiet=True)
    yield RunCommand(("audit", *WORDS))
    yield Stop("worker")
    yield Stop("daemon")
    yield Dump("repaired")


def count(steps_: list[Step]) -> int:
    return sum(isinstance(step, PutFile | GrowFile) for step in steps_)
