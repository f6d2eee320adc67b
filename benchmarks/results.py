"""Stores the results of all benchmarks as JSON, in one file to which each benchmark adds its result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
LATEST = FOLDER / "latest.json"
HEADLINES = {
    "copy_ratio": "throughput",
    "copy_ratio_binary": "throughput",
    "script_ratio": "throughput",
    "script_ratio_psycopg3": "throughput",
    "small_file_cpu_ms": "small_files",
    "small_file_vs_chain": "small_files",
    "small_file_vs_script": "small_files",
    "small_file_vs_script_psycopg3": "small_files",
    "worker_rss_mb": "memory",
    "deferred_ratio": "deferred",
}
"""The main figures, which are shown after every run: name of the figure -> benchmark that measures it."""


def read(path: Path = LATEST) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found


def write(
    runs: dict[str, Any], machine: dict[str, Any], quick: bool, path: Path = LATEST
) -> dict[str, Any]:
    """Add results to the file, and return its new content. runs: name of a benchmark -> its result, which
    replaces an older one. If a main figure is missing, `reasons` in the file says why."""
    all_runs = {**read(path).get("runs", {}), **runs}
    headlines, reasons = {}, {}
    for name, benchmark in HEADLINES.items():
        headlines[name] = _headline(all_runs, name)
        if headlines[name] is None:
            ran = all_runs.get(benchmark, {})
            reasons[name] = ran.get("reason", f"{benchmark} did not run")
    document = {
        **headlines,
        "reasons": reasons,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine,
        "runs": all_runs,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return document


def _headline(runs: dict[str, Any], name: str) -> float | None:
    found = runs.get(HEADLINES[name], {})
    if HEADLINES[name] == "throughput":
        found = next(iter(found.get("cases", [])), {})
    elif name == "worker_rss_mb" and name not in found:
        found = runs.get("small_files", {})
    value = found.get(name)
    return None if value is None else float(value)
