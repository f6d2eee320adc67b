"""sensorflow init"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensorflow.cli.show import line
from sensorflow.errors import UsageError
from sensorflow.shell import quoted

TEMPLATE = """\
# sensorflow loads files from drop folders into a database, exactly once.
# Every key can also be set as an environment variable: SENSORFLOW_RESCAN=10,
# SENSORFLOW_SOURCES__READINGS__AFTER=keep; secrets from a file: SENSORFLOW_DATABASE_URL_FILE=/run/...

# Without these two, `sensorflow up` runs its own PostgreSQL and Valkey on 127.0.0.1.
# database_url = "postgresql://user:password@host:5432/database"
# broker_url   = "redis://:password@host:6379/0"       # or "amqp://user:password@host:5672/vhost"

data = "data"               # landing, bronze, rejects, silver, quarantine, archive, logs
# storage.data = "s3://bucket/prefix"   # all but archive and logs in a bucket; or gs://, az://
# rescan = 30               # seconds between full scans of the folders (inotify finds new files sooner)
# reconcile = 15            # seconds between reconciler runs
# workers = 4               # maximum worker processes; their number follows the load
# inline_below = "128 MiB"  # smaller files take one task, larger ones a chain of three
# group_small_files = true  # small files share messages and tasks: less CPU, fewer tasks in Flower
# max_in_flight = 1000      # maximum number of published, unfinished files

[sources.readings]
path = "drop/readings"      # put files here
profile = "long"
after = "archive"           # afterwards: "archive" moves them to data/archive, "delete" or "keep"
on_change = "merge"         # a newer version of a file replaces the readings that it contains again,
                            # and all others remain; or "supersede", "keep", "reject"
# growing = true            # read files that a logger appends to; requires after = "keep"
max_rejects = "10%"         # quarantine a file with more rejected readings than this

# One row is one reading:
#   time,sensor,type,value,unit
#   2026-01-31T12:00:00Z,tank-7,temperature,21.5,degC
[profiles.long]
format = "csv"              # or "jsonl", "parquet"; gzip is detected automatically
time = "time"               # ISO 8601 with an offset; see below for other formats
sensor = "sensor"
type = "type"
value = "value"
unit = "unit"

# One row holds several readings:
#   Date;T1;RH
#   31.01.2026 12:00;21.5;48
# [profiles.logger]
# format = "csv"
# delimiter = ";"
# missing = ["-9999", "NaN"]                        # cells without a reading, besides empty ones
# time = { column = "Date", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }
# sensor = { file_name = '^(\\w+)_' }                # or a column name, or { constant = "roof" }
# [profiles.logger.columns]
# T1 = { type = "temperature", unit = "degC" }
# RH = { type = "humidity", unit = "%" }
"""


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new project.")] = Path(),
) -> None:
    """Create a project: a commented sensorflow.toml and its folders."""
    written = write(folder)
    shown = f"./{folder}" if str(folder).startswith("-") else str(folder)
    where = "" if folder == Path() else f"cd {quoted(shown)} && "
    line(f"wrote {written} and {written.parent / 'drop/readings'}/")
    line(f"next: {where}sensorflow up, then put a CSV file into drop/readings/, for example")
    line("  time,sensor,type,value,unit")
    line("  2026-01-31T12:00:00Z,tank-7,temperature,21.5,degC")


def write(folder: Path) -> Path:
    """Write sensorflow.toml, and create the drop folder. Returns the path of the file. Raises UsageError if
    the file exists or cannot be written."""
    from sensorflow.disk import explained
    from sensorflow.settings import FILE_NAME

    path = folder.absolute() / FILE_NAME
    try:
        if path.exists():
            raise FileExistsError
        (path.parent / "drop" / "readings").mkdir(parents=True, exist_ok=True)
        _write(path)
    except FileExistsError as error:
        if not path.is_file():
            raise UsageError(f"{error.filename or path} is not a folder: rename the file") from None
        raise UsageError(
            f"{path} already exists; edit the file, or remove it to start over. Next: sensorflow up"
        ) from None
    except OSError as error:
        raise UsageError(explained(error, path) or f"{path}: {error.strerror}") from error
    return path


def _write(path: Path) -> None:
    with path.open("x", encoding="utf-8") as stream:
        try:
            stream.write(TEMPLATE)
            stream.flush()
        except OSError:
            path.unlink()  # a partial file would count as a project
            raise
