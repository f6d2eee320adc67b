"""The project that the corpus goes through: settings, profiles, and what commands read."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

from former_names import settings_for
from same.contents import (
    plain,
    rejected,
    station,
)

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("SENSORFLOW_REAL_DATA", ROOT.parent / "shared" / "real-data")) / "files"
PROFILES = ROOT / "tests" / "real_data" / "profiles"
BORN = 1_770_000_000
"""Seconds since 1970 of the first file's mtime; each later one is a second younger."""

SETTINGS = """\
data = "data"
rescan = 3600
reconcile = 3600
lease = 120
max_attempts = 2
inline_below = "64 KiB"
workers = 1

[sources.plant]
path = "drop/plant"
profile = "long"
stability_window = 0.2
max_rejects = "20%"

[sources.outbox]
path = "drop/outbox"
profile = "long"

[sources.replaced]
path = "drop/replaced"
profile = "long"
on_change = "supersede"

[sources.both]
path = "drop/both"
profile = "long"
on_change = "keep"

[sources.first]
path = "drop/first"
profile = "long"
on_change = "reject"

[sources.overlap]
path = "drop/overlap"
profile = "long"
on_change = "keep"
dedupe_scope = "source"

[sources.named]
path = "drop/named"
profile = "by-name"
after = "delete"

[sources.wide]
path = "drop/wide"
profile = "station"
drift = { new = "rescue", missing = "quarantine", changed = "quarantine" }

[sources.strict]
path = "drop/strict"
profile = "station"
drift = "quarantine"
max_rejects = "0"
earliest = "2020-01-01"
sparse_months = 2

[sources.lines]
path = "drop/lines"
profile = "events"

[sources.columns]
path = "drop/columns"
profile = "columnar"

[sources.logger]
path = "drop/logger"
profile = "long"
growing = true
grow_every = 0
after = "keep"

[sources.sums]
path = "drop/sums"
profile = "long"
gate = "{name}.sha256"
stability_window = 0.2

[sources.sets]
path = "drop/sets"
profile = "long"
gate = { manifest = "*.manifest.json" }
stability_window = 0.2

[sources.packed]
path = "drop/packed"
profile = "long"
unpack = true

[sources.kept]
path = "drop/kept"
profile = "long"
retention = { landing = "1h", bronze = "1h", rejects = "1h", silver = "1h", rows = "1h", history = "1h" }

[sources.old]
path = "drop/old"
profile = "long"

[profiles.long]
format = "csv"
time = "time"
sensor = "sensor"
type = "type"
value = "value"
unit = "unit"

[profiles.comma]
extends = "long"
sensor = { constant = "replayed" }

[profiles.by-name]
format = "csv"
time = "time"
sensor = { file_name = '^([a-z]+)-' }
columns = { value = { type = "temperature", unit = "degC" } }

[profiles.station]
format = "csv"
time = { column = "when", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin", ambiguous = "order" }
sensor = { constant = "station" }
delimiter = ";"
decimal = ","
missing = ["", "n/a"]
columns = { temp = { type = "temperature", unit = "degC" }, hum = { type = "humidity", unit = "%" } }
rules = { humidity = { min = 0, max = 100 } }

[profiles.events]
format = "jsonl"
time = "t"
sensor = "dev"
columns = { v = { type = "voltage", unit = "V" } }

[profiles.columnar]
format = "parquet"
time = "time"
sensor = "sensor"
type = "type"
value = "value"
unit = "unit"
"""


def settings() -> str:
    sources = [
        f'\n[sources.real{n:02}]\npath = "drop/real{n:02}"\nprofile = "profiles/real{n:02}.toml"\n'
        f'include = ["*"]\n'
        for n, _ in enumerate(real(), 1)
    ]
    return SETTINGS + "".join(sources)


def real() -> list[Path]:
    return sorted(REAL.iterdir())


def lay(project: Path, tree: Path) -> None:
    """The settings, profiles and folders of a project for the code in `tree`; what commands read lies in
    `given`."""
    (project / "sensorflow.toml").write_text(settings_for(tree, settings()))
    (project / "profiles").mkdir()
    given = project / "given"
    given.mkdir()
    for number, path in enumerate(real(), 1):
        profile = PROFILES / f"{path.name}.toml"
        shutil.copyfile(profile, project / "profiles" / f"real{number:02}.toml")
        shutil.copyfile(path, given / path.name)
    (given / "rejects.csv").write_bytes(rejected(900))
    (given / "good.csv").write_bytes(plain(901))
    (given / "station.csv").write_bytes(station(902))
    (given / "broken.csv.gz").write_bytes(gzip.compress(plain(903), mtime=0)[:50])
    history = project / "history"
    for number in range(8):
        path = history / f"2025-{number:02}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(plain(800 + number))
        os.utime(path, (BORN + number, BORN + number))
    for line in settings().splitlines():
        if line.startswith("path = "):
            (project / line.split('"')[1]).mkdir(parents=True)
