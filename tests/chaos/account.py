"""What is in the database, the lake and the quarantine, held against the generator's manifest."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gold
import warm
import zones
from chaos.findings import Findings
from chaos.generator import GeneratedFile, Kind, Manifest
from chaos.scene import Observer

from sensorflow.adapters.postgres.gold import Gold
from sensorflow.errors import Transient
from sensorflow.flow.gold import Refresher

TERMINAL = ("loaded", "quarantined")
OUTCOMES = ("stage done", "loaded", "quarantined", "condemned", "will be tried again")
ATTEMPTS = 3
STORE_PATIENCE = 120.0
"""Seconds after which a store that is gone does not come back."""


class Account:
    """hold() adds what is wrong to `findings`; the fleet is stopped by then."""

    def __init__(
        self, observer: Observer, data: Any, manifest: Manifest, findings: Findings
    ) -> None:
        self._observer, self._data = observer, data
        self._manifest, self._found = manifest, findings
        columns = (
            "id, source, key_text, sha256, state, rows_read, rows_loaded, rows_rejected,"
            " rows_duplicate, rows_replaced, error_code, quarantined_to"
        )
        names = [name.strip() for name in columns.split(",")]
        rows = observer.rows(f"SELECT {columns} FROM files ORDER BY id")
        self._files = [dict(zip(names, row, strict=True)) for row in rows]

    def hold(self) -> None:
        self._hold_files()
        self._hold_readings()
        self._hold_rows_of_files()
        self._hold_outcomes()
        self._hold_aggregates()

    def _hold_aggregates(self) -> None:
        """What was recorded of all changes suffices to compute them."""
        refresher = Gold(self._observer.url, "account")
        Refresher(refresher).refresh_all()
        refresher.close()
        self._found.unexpected += gold.differences(self._observer.url)[:20]

    # --- files ---

    def _hold_files(self) -> None:
        by_content = defaultdict(list)
        for file in self._files:
            by_content[file["source"], bytes(file["sha256"])].append(file)
        arrivals = defaultdict(set)
        for file_id, name in self._observer.rows("SELECT file_id, key_text FROM arrivals"):
            arrivals[file_id].add(name)
        for generated in self._manifest.files:
            files = by_content.pop((generated.source, generated.sha256), [])
            if not files:
                self._found.lost.append(f"file {generated.names[0]}: not in the ledger")
            elif generated.copies > 1:
                self._hold_copies(generated, files)
            elif len(files) > 1:
                self._found.duplicated.append(
                    f"file {generated.names[0]}: {len(files)} ledger rows"
                )
            else:
                self._hold_file(generated, files[0], arrivals[files[0]["id"]])
        for strangers in by_content.values():
            names = ", ".join(file["key_text"] for file in strangers)
            self._found.unexpected.append(f"files that nobody made: {names}")
        self._hold_feed()

    def _hold_copies(self, generated: GeneratedFile, files: list[dict[str, Any]]) -> None:
        """The same bytes under names that had others: files of their own, with their readings once."""
        served = sum(f["rows_loaded"] - f["rows_replaced"] for f in files)
        states = {file["state"] for file in files}
        if (served, states) != (generated.read, {"loaded"}) or len(files) > generated.copies:
            self._found.unexpected.append(
                f"file {generated.names[0]}: {len(files)} ledger rows, {states}, serve {served} readings"
            )

    def _hold_file(self, generated: GeneratedFile, file: dict[str, Any], names: set[str]) -> None:
        shown = f"file {generated.names[0]} (id {file['id']})"
        if missing := set(generated.names) - names:
            self._found.lost.append(f"{shown}: arrived as {missing} too, which nobody recorded")
        if file["state"] == "superseded" and generated.is_outgrown:
            return  # it was not loaded before a version that begins with its bytes
        if file["state"] not in TERMINAL:
            self._found.lost.append(f"{shown}: still {file['state']}, {file['error_code']}")
        elif generated.code:
            self._hold_quarantined(generated, file, shown)
        elif file["state"] != "loaded":
            self._found.unexpected.append(
                f"{shown}: is good and {file['state']}: {file['error_code']}"
            )
        else:
            self._hold_loaded(generated, file, shown)

    def _hold_loaded(self, generated: GeneratedFile, file: dict[str, Any], shown: str) -> None:
        loaded, again = generated.read - generated.rejected - generated.repeats, generated.repeats
        if generated.kind is Kind.FEED:  # which file of two brings what both hold is chance
            again = generated.read - file["rows_loaded"]
            loaded = generated.read - again
        right = (generated.read, loaded, generated.rejected, again)
        counts = tuple(file[f"rows_{n}"] for n in ("read", "loaded", "rejected", "duplicate"))
        if counts != right:
            self._found.unexpected.append(
                f"{shown}: read, loaded, rejected, duplicates are {counts} in the ledger, not {right}"
            )
        if file["rows_replaced"] != generated.replaced:
            self._found.unexpected.append(
                f"{shown}: {file['rows_replaced']} replaced, not {generated.replaced}"
            )
        self._hold_silver(
            file,
            generated.read - generated.rejected - generated.repeats - generated.replaced,
            shown,
        )

    def _hold_feed(self) -> None:
        """Of what several files hold, each reading counts for one of them."""
        seconds = {
            second for m in self._manifest.files if m.kind is Kind.FEED for second in m.seconds
        }
        feed = [file for file in self._files if file["source"] == "feed"]
        total = sum(file["rows_loaded"] for file in feed if file["state"] == "loaded")
        if total != len(seconds):
            self._found.unexpected.append(
                f"feed: the ledger says {total} loaded, not {len(seconds)}"
            )

    def _hold_silver(self, file: dict[str, Any], rows: int, shown: str) -> None:
        found = list(self._data.glob(f"silver/*/*/file-{file['id']}-v*.parquet"))
        counts = [zones.read_rows(path).num_rows for path in found]
        if counts != [rows] and not (rows == 0 and not counts):
            self._found.unexpected.append(f"{shown}: silver has {counts} rows, not {rows}")

    # --- quarantine ---

    def _hold_quarantined(self, generated: GeneratedFile, file: dict[str, Any], shown: str) -> None:
        if file["state"] != "quarantined":
            self._found.unexpected.append(f"{shown}: is {generated.kind} and {file['state']}")
            return
        where = self._data / "quarantine" / file["quarantined_to"]
        try:
            manifest = json.loads((where / "manifest.json").read_bytes())
        except (OSError, ValueError, Transient) as error:
            self._found.unexpected.append(f"{shown}: no manifest: {error}")
            return
        if not manifest["error"]["code"].startswith(generated.code):
            self._found.unexpected.append(f"{shown}: quarantined with {manifest['error']['code']}")
        if generated.kind is Kind.POISON and manifest["attempts"] != ATTEMPTS:
            self._found.unexpected.append(
                f"{shown}: quarantined after {manifest['attempts']} attempts"
            )
        if manifest["file"]["sha256"] != generated.sha256.hex():
            self._found.unexpected.append(f"{shown}: the manifest is of other bytes")
        self._found.unexpected += bytes_missing(where)
        if list(self._data.glob(f"silver/*/*/file-{file['id']}-v*.parquet")):
            self._found.unexpected.append(f"{shown}: quarantined, and in silver")

    # --- readings ---

    def _hold_readings(self) -> None:
        right = self._manifest.readings()
        query = (
            "SELECT sensor_id, array_agg(extract(epoch FROM ts)::bigint), array_agg(value)"
            " FROM raw_readings GROUP BY sensor_id"
        )
        for sensor, seconds, values in self._observer.rows(query):
            self._hold_sensor(sensor, right.pop(sensor, {}), seconds, values)
        for sensor, readings in right.items():
            self._found.lost += [f"reading of {sensor} at {second}" for second in readings]
        query = "SELECT count(*) FROM raw_readings WHERE reading_type <> 'temperature' OR unit <> 'degC'"
        if strange := self._observer.rows(query)[0][0]:
            self._found.unexpected.append(f"{strange} readings of another type or unit")

    def _hold_sensor(
        self, sensor: str, right: dict[int, float], seconds: list[int], values: list[float]
    ) -> None:
        times = Counter(zip(seconds, values, strict=True))
        for (second, value), count in times.items():
            if right.get(second) != value:
                self._found.unexpected.append(f"reading of {sensor} at {second}: {value!r}")
            elif count > 1:
                self._found.duplicated.append(f"reading of {sensor} at {second}: {count} times")
        found = set(seconds)
        self._found.lost += [f"reading of {sensor} at {s}" for s in right if s not in found]

    def _hold_rows_of_files(self) -> None:
        query = "SELECT file_id, count(*) FROM raw_readings GROUP BY file_id"
        rows = dict(self._observer.rows(query))
        for file in self._files:
            count = rows.pop(file["id"], 0)
            served = file["rows_loaded"] - file["rows_replaced"]
            loaded = served if file["state"] == "loaded" else 0
            if count != loaded:
                self._found.unexpected.append(
                    f"file {file['key_text']} (id {file['id']}), {file['state']}: "
                    f"{count} rows in the database, {loaded} in the ledger"
                )
        if rows:
            self._found.unexpected.append(f"rows of files that are not there: {rows}")

    # --- history ---

    def _hold_outcomes(self) -> None:
        """Whoever wrote an outcome was the last to claim the file, or ended who did: by fencing."""
        holders: dict[int, str] = {}
        query = "SELECT file_id, what, who FROM file_events ORDER BY id"
        for file_id, what, actor in self._observer.rows(query):
            if what == "claimed":
                holders[file_id] = actor
            elif what in OUTCOMES and actor not in (holders.get(file_id), watchdog(actor)):
                self._found.unexpected.append(
                    f"file id {file_id}: {what!r} by {actor}, claimed by {holders.get(file_id)}"
                )


def watchdog(actor: str) -> str:
    """A process that says what became of the files of a child that was ended: it has their tokens."""
    return actor if actor.startswith("watchdog@") else ""


def bytes_missing(folder: Any) -> list[str]:
    """What is wrong with one quarantined file: a manifest is there only when its bytes are."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return []
    manifest_ = json.loads(manifest.read_bytes())
    originals = [path for path in (folder / "file").glob("*") if path.is_file()]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in originals]
    if digests == [manifest_["file"]["sha256"]]:
        return []
    return [f"{folder.name}: a manifest whose bytes are {'other ones' if originals else 'missing'}"]


def manifests_without_bytes(data: Any) -> list[str]:
    """Of all quarantined files, also in the middle of the work. Waits for a store that is gone."""
    deadline = time.monotonic() + STORE_PATIENCE
    while True:
        try:
            return [
                line
                for manifest in (data / "quarantine").glob("*/*/manifest.json")
                for line in bytes_missing(manifest.parent)
            ]
        except Transient:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def audited(environment: Mapping[str, str], project: Path, cold: bool = True) -> list[str]:
    """What `sensorflow audit --checksum` has to say, which looks at the same from the other side. cold: it
    starts Python anew."""
    words = ["sensorflow", "audit", "--checksum", "--json", "--limit", "20"]
    if cold:
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command, env=dict(environment), cwd=project, capture_output=True, check=False
        )
    else:
        done = warm.run(words, environment, project)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [f"audit: no answer, {done.returncode}: {done.stderr[-500:]!r}"]
    found = [
        f"audit: {f['kind']} {f['code']} {f['source']}/{f['name']} (id {f['file_id']}): "
        f"expected {f['expected']}, found {f['found']}"
        for f in report["findings"]
    ]
    if done.returncode and not found:
        found.append(f"audit: ended with {done.returncode}: {report['verdict']}")
    return found
