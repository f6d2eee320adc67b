"""All that a project holds, as a state for `compare`: read apart from the product's own code."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import redis
from psycopg import sql

State = dict[str, dict[str, Any]]

_TABLES = """
SELECT c.relname, array(SELECT a.attname FROM pg_index i, pg_attribute a
                         WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid
                           AND a.attnum = ANY(i.indkey) ORDER BY array_position(i.indkey, a.attnum))
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
   AND c.relname <> 'raw_readings' ORDER BY 1
"""
_READINGS = """
COPY (SELECT r.* FROM raw_readings r ORDER BY file_id, line_no, sensor_id, reading_type, ts, dedupe_key)
TO STDOUT (FORMAT csv)
"""
_SUMS = """
SELECT file_id, count(*) || ' ' || md5(string_agg(r::text, ' ' ORDER BY dedupe_key, ts))
  FROM raw_readings r GROUP BY 1
"""
_SCHEMA = {
    "column": """
        SELECT c.relname || '.' || a.attname,
               concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attidentity::text,
                         CASE WHEN a.attnotnull THEN 'NOT NULL' END, pg_get_expr(d.adbin, d.adrelid))
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
           AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraint": """
        SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) || ' ' || convalidated
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "index": """
        SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid
          FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE c.relnamespace = 'public'::regnamespace""",
    "trigger": """
        SELECT tgrelid::regclass || ' ' || tgname, pg_get_triggerdef(oid)
          FROM pg_trigger WHERE NOT tgisinternal""",
    "function": """
        SELECT oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(oid), proacl::text)
          FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')""",
    "relation": """
        SELECT oid::regclass::text, concat_ws(' ', relkind::text, relacl::text, reloptions::text,
                                              obj_description(oid, 'pg_class'))
          FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'""",
}


def connect(url: str) -> psycopg.Connection[Any]:
    options = "-c timezone=UTC -c extra_float_digits=1"
    return psycopg.connect(url, autocommit=True, options=options)


class SeenParquetFiles(dict[str, tuple[int, int]]):
    """The Parquet files of earlier dumps, by path: (inode, mtime in nanoseconds)."""


def of_project(connection: psycopg.Connection[Any], data: Path, seen: SeenParquetFiles) -> State:
    """Readings are given row by row the first time, later as a hash for each file. A Parquet file that was
    given before is named alone."""
    names = dict(
        connection.execute(
            "SELECT id, concat_ws(' ', lpad(id::text, 4, '0'), source || '/' || key_text || '@' || version)"
            " FROM files"
        ).fetchall()
    )
    return {
        **_ledger(connection, names),
        "reading": _sums(connection, names) if seen else _readings(connection, names),
        "schema": dict(_schema(connection)),
        "lake": dict(_lake(data, seen)),
        "object": dict(_objects(data)),
    }


def _ledger(c: psycopg.Connection[Any], names: dict[int, str]) -> State:
    """Each column of each row of each table; rows are called by their primary key."""
    found: State = {}
    for table, key in c.execute(_TABLES).fetchall():
        query = sql.SQL("SELECT to_jsonb(t) FROM {} t ORDER BY {}").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, key or ["ctid"]))
        )
        rows = found[f"table {table}"] = {}
        for (row,) in c.execute(query).fetchall():
            about = row["id"] if table == "files" else row.get("file_id")
            place = names.get(about, "") if key == ["id"] and table == "files" else ""
            place = place or " ".join([*(str(row[k]) for k in key), names.get(about, "")])
            rows |= {f"[{place.strip()}].{column}": value for column, value in row.items()}
    return found


def _readings(c: psycopg.Connection[Any], names: dict[int, str]) -> dict[str, list[str]]:
    """The rows of each file: all columns, in the table's order."""
    columns = [d.name for d in c.execute("SELECT * FROM raw_readings LIMIT 0").description or ()]
    at = columns.index("file_id")
    found: dict[str, list[str]] = {"columns": columns}
    with c.cursor().copy(_READINGS) as copy:
        text = b"".join(map(bytes, copy)).decode()
    for line in text.splitlines():
        cells = line.split(",")
        number = cells[at] if len(cells) == len(columns) else line.rsplit(",", 3)[1]
        found.setdefault(names.get(int(number), number), []).append(line)
    return found


def _schema(c: psycopg.Connection[Any]) -> Iterator[tuple[str, str]]:
    for kind, query in _SCHEMA.items():
        for name, definition in c.execute(query).fetchall():  # type: ignore[arg-type]
            yield f"{kind} {name}", definition


def _sums(c: psycopg.Connection[Any], names: dict[int, str]) -> dict[str, str]:
    return {names.get(number, str(number)): found for number, found in c.execute(_SUMS).fetchall()}


def _lake(data: Path, seen: SeenParquetFiles) -> Iterator[tuple[str, Any]]:
    """Of each Parquet file, by its path with its partitions: schema, and rows."""
    layers = ("silver", "bronze", "rejects")
    for path in sorted(p for layer in layers for p in (data / layer).rglob("*.parquet")):
        place, stat = str(path.relative_to(data)), path.stat()
        if seen.get(place) == (stat.st_ino, stat.st_mtime_ns):
            yield place, "as before"
            continue
        seen[place] = (stat.st_ino, stat.st_mtime_ns)
        with path.open("rb") as stream:  # the file alone: its folders' names are no columns
            table = pq.read_table(stream)
        yield f"{place} schema", table.schema.to_string(show_schema_metadata=True)
        columns = [map(str, column.to_pylist()) for column in table.columns]
        yield f"{place} rows", [" ".join(row) for row in zip(*columns, strict=True)]


def _objects(data: Path) -> Iterator[tuple[str, Any]]:
    """Landing zone, archive and quarantine: each file by its path, with its hash; JSON by its keys."""
    for layer in ("landing", "archive", "quarantine"):
        for path in sorted((data / layer).rglob("*")):
            if not path.is_file():
                continue
            place = f"{layer}/{path.relative_to(data / layer)}"
            content = path.read_bytes()
            if path.suffix == ".json" and layer == "quarantine" and path.parent.name != "file":
                yield place, json.loads(content)
            else:
                yield place, hashlib.sha256(content).hexdigest()


def messages(broker: redis.Redis, queues: str = "sensorflow.*") -> list[dict[str, Any]]:
    """What waits in the queues of a Redis or Valkey, the oldest first; nothing is taken off."""
    found = []
    for key in sorted(broker.scan_iter(queues)):
        if broker.type(key) != b"list":
            continue
        for envelope in reversed(broker.lrange(key, 0, -1)):  # type: ignore[arg-type]
            message = json.loads(envelope)
            message["body"] = json.loads(base64.b64decode(message["body"]))
            found.append({"queue": key.decode(), **message})
    return found


def waiting(broker: redis.Redis) -> int:
    return sum(
        broker.llen(key)  # type: ignore[misc]
        for key in broker.scan_iter("sensorflow.*")
        if broker.type(key) == b"list"
    )
