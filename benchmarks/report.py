"""Generates the tables and plots of docs/explanation/performance.md from benchmarks/results/latest.json.

    python -m benchmarks.report

Writes the tables between the two markers of the page, and the plots to the folder performance beside it.
Benchmarks without results are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.plot import Bar, bars

DOCS = Path(__file__).resolve().parents[1] / "docs" / "explanation"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Found = dict[str, Any]


def render(found: Found) -> str:
    """Return all tables as Markdown. found: the results, see `results.write`."""
    parts = [about(found), goals(found)]
    for name, section in SECTIONS.items():
        if (ran := found["runs"].get(name)) and "reason" not in ran:
            parts.append(section(ran))
    return "\n\n".join(part for part in parts if part) + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value).replace("|", "\\|")


def about(found: Found) -> str:
    m = found["machine"]
    load = max((ran.get("load_before", 0) for ran in found["runs"].values()), default=0)
    size = " The sizes are those of `make bench-quick`." if found.get("quick") else ""
    return (
        f"The benchmarks ran on {found['at'][:10]} with {m['cores']} cores ({m['cpu']}, "
        f"{m['memory_gb']} GB, Linux {m['kernel']}), Python {m['python']}, PostgreSQL {m['postgres']}, "
        f"Valkey {m['valkey']}, pyarrow {m['pyarrow']}, celery {m['celery']}. "
        f"The load before each benchmark was at most {load}.{size}"
    )


# --- the goals ---


def goals(found: Found) -> str:
    rows = [
        [what, wanted, "not measured" if value is None else value, None if value is None else holds]
        for what, wanted, value, holds in _goals(found["runs"], found)
    ]
    return "## Goals\n\n" + table(["Figure", "Goal", "Measured", "Met"], rows)


def _goals(runs: Found, found: Found) -> Iterator[tuple[str, str, float | None, bool]]:
    def goal(what: str, wanted: float, value: float | None, limit: bool = False) -> Any:
        holds = value is not None and (value <= wanted if limit else value >= wanted)
        return what, f"{'at most' if limit else 'at least'} {wanted:g}", value, holds

    small, scale, peers = (runs.get(name, {}) for name in ("small_files", "scale", "peers"))
    csv = "1M rows of CSV on one core: "
    yield goal(csv + "time divided by time of COPY of text", 1.5, found["copy_ratio"], True)
    binary = found["copy_ratio_binary"]
    yield goal(csv + "time divided by time of COPY of the binary format", 1.5, binary, True)
    yield goal(csv + "time of the script divided by time", 20, found["script_ratio"])
    pipelined = found["script_ratio_psycopg3"]
    yield goal(csv + "time of the script with psycopg 3 divided by time", 20, pipelined)
    two = _worker(scale, 2)
    yield goal("rows/s of two workers on two cores divided by rows/s of one worker", 1.6, two)
    cpu = found["small_file_cpu_ms"]
    yield goal("CPU of daemon and workers for a small file, in ms", 5, cpu, True)
    grouped = small.get("small_file_cpu_ms_grouped")
    yield goal("CPU for a small file with several files in each message, in ms", 5, grouped, True)
    chain = small.get("small_file_vs_chain")
    yield goal("small files/s divided by files/s with a chain of three tasks", 5, chain)
    script = small.get("small_file_vs_script")
    yield goal("small files/s divided by files/s of the script", 5, script)
    pipelined = small.get("small_file_vs_script_psycopg3")
    yield goal("small files/s divided by files/s of the script with psycopg 3", 5, pipelined)
    yield goal("rows/s divided by rows/s of the fastest peer", 1, _peer(peers))
    yield goal("peak memory of a worker, in MB", 350, found["worker_rss_mb"], True)
    daemon = runs.get("daemon_memory", {}).get("daemon_rss_mb")
    yield goal("peak memory of the daemon with 100,000 files, in MB", 120, daemon, True)
    full = _fullest(scale)
    yield goal("rows/s into a table of 50M rows divided by rows/s into an empty table", 0.7, full)
    slowest, name = _slowest(runs.get("ledger")), "claims and reconciliations with 1M files"
    yield goal(f"slowest statement of {name}, in ms", 5, slowest, True)
    deferred = runs.get("deferred", {}).get("deferred_ratio")
    speed = None if deferred is None else round(1 / deferred, 3)
    yield goal("deferred index: rows/s divided by rows/s of COPY without an index", 0.6, speed)


def _worker(scale: Found, number: int) -> float | None:
    return next((c["times_one"] for c in scale.get("workers", []) if c["workers"] == number), None)


FULL = 50_000_000


def _fullest(scale: Found) -> float | None:
    full = (t for t in scale.get("table", []) if t["rows_before"] >= FULL)
    return next((float(t["of_an_empty_one"]) for t in full), None)


def _peer(peers: Found) -> float | None:
    same = [
        peer["ours_is_faster_by"]
        for name, peer in peers.get("peers", {}).items()
        if "ours_is_faster_by" in peer and name not in ("sensorflow", "adbc, ready rows")
    ]
    return min(same, default=None)


SWEEP = (
    "claim",
    "due",
    "due, full",
    "due, backfill",
    "expire",
    "waiting_messages",
    "stale",
    "untidy",
)


def _slowest(ledger: Found | None) -> float | None:
    timed = (ledger or {}).get("statements", [])
    return max((s["ms"]["median"] for s in timed if s["name"] in SWEEP), default=None)


# --- a section for each benchmark ---


def throughput(ran: Found) -> str:
    heads = [
        "File",
        "rows/s",
        "rows/s of COPY",
        "rows/s of the script",
        "time divided by time of COPY",
        "time divided by time of binary COPY",
        "time with landing divided by time of COPY",
        "time of the script divided by time",
        "time of the script with psycopg 3 divided by time",
        "share of the database in the CPU time",
    ]
    rows = [
        [
            case_name(c),
            *(
                c[key]
                for key in ("rows_per_second", "copy_rows_per_second", "script_rows_per_second")
            ),
            *(
                c[key]
                for key in (
                    "copy_ratio",
                    "copy_ratio_binary",
                    "copy_ratio_with_landing",
                    "script_ratio",
                    "script_ratio_psycopg3",
                )
            ),
            f"{c['database_share']:.0%}",
        ]
        for c in ran["cases"]
    ]
    return "## Throughput\n\n" + picture("throughput") + table(heads, rows)


def case_name(case: Found) -> str:
    files = f", {case['files']} files" if case["files"] > 1 else ""
    return f"{case['format']}, {case['rows']:,} rows{files}"


WAYS = {
    "one": "one task per file",
    "grouped": "several files per task",
    "chain": "chain of three tasks",
    "script": "script",
    "script_psycopg3": "script with psycopg 3",
    "running": "dropped while all processes run",
}


def small_files(ran: Found) -> str:
    rows = [
        [WAYS[way], figure["files_per_second"]["median"], figure["cpu_ms"]["median"]]
        for way, figure in ran["figures"].items()
    ]
    parts = ", ".join(
        f"{key.removesuffix('_cpu_ms')} {value:.3g} ms"
        for key, value in ran["parts"].items()
        if key != "cpu_ms"
    )
    text = f"{ran['files']:,} files of {ran['rows_each']} rows, with {ran['broker']}. "
    text += f"CPU per file: {parts}."
    if "small_file_cpu_vs_grouped" in ran:
        text += f" One task per file: {ran['small_file_cpu_vs_grouped']:g} times several per task."
    heads = ["Processing", "files/s", "CPU per file without servers, ms"]
    return f"## Small files\n\n{text}\n\n" + picture("small_files") + table(heads, rows)


def peers(ran: Found) -> str:
    rows, notes = [], []
    for name, peer in ran["peers"].items():
        if "rows_per_second" in peer:
            rows.append([name, peer["rows"], peer["rows_per_second"], peer["ours_is_faster_by"]])
        else:
            notes.append(f"{name} could not run: {peer['could_not_run']}")
    heads = ["Program", "rows", "rows/s", "rows/s of sensorflow divided by rows/s"]
    return "\n\n".join(["## Peers", picture("peers") + table(heads, rows), *notes])


def scale(ran: Found) -> str:
    workers = [
        [c["workers"], c["rows_per_second"]["median"], c["times_one"]] for c in ran["workers"]
    ]
    waiting = [[c["waiting"], c["files_per_second"]["median"]] for c in ran["backlog"]]
    full = [
        [c["rows_before"], c["rows_per_second"]["median"], c["of_an_empty_one"]]
        for c in ran["table"]
    ]
    return "\n\n".join(
        [
            "## Scale",
            table(["workers", "rows/s", "rows/s divided by rows/s of one worker"], workers),
            table(["files waiting", "files/s"], waiting),
            table(["rows before", "rows/s", "rows/s divided by rows/s into an empty table"], full),
        ]
    )


def ledger(ran: Found) -> str:
    rows = [[s["name"], s["ms"]["median"], s["planning_ms"]["median"]] for s in ran["statements"]]
    mix = ", ".join(f"{count:,} {state}" for state, count in ran["mix"].items())
    text = f"The ledger contains {ran['files']:,} files: {mix}. `latest.json` contains the query plans."
    heads = ["Statement", "ms", "planning, ms"]
    return f"## The ledger's statements\n\n{text}\n\n" + table(heads, rows)


def deferred(ran: Found) -> str:
    heads = [
        "File",
        "rows/s",
        "rows/s of COPY without an index",
        "time divided by time of COPY",
        "time to create the index, s",
        "rows/s with the unique index",
    ]
    keys = ("rows_per_second", "copy_rows_per_second", "deferred_ratio", "index_seconds")
    row = [
        f"csv, {ran['rows']:,} rows",
        *(ran[key] for key in keys),
        ran["rows_per_second_with_index"],
    ]
    return "## Deferred index\n\n" + table(heads, [row])


def formats(ran: Found) -> str:
    rows = [[c["name"], c["us_per_row"], c["ratio"], c["aim"]] for c in ran["cases"]]
    return (
        f"## CPU per row by format\n\nThe same {ran['rows']:,} rows of one reading each (sheet: 50,000) "
        "are validated and written to bronze on one core.\n\n"
        + table(["Format", "us per row", "us divided by us of CSV", "goal"], rows)
    )


def memory(ran: Found) -> str:
    rows = [[f"{c['kind']}, {c['mb']} MB", c["peak_mb"], c["seconds"]] for c in ran["cases"]]
    heads = ["File", "peak memory, MB", "time, s"]
    return "## Memory of a worker\n\n" + picture("memory") + table(heads, rows)


def daemon_memory(ran: Found) -> str:
    rows = [[c["after"], c["idle_mb"], c["peak_mb"], c["cpu_ms_per_file"]] for c in ran["cases"]]
    heads = ["`after`", "idle memory, MB", "peak memory, MB", "CPU per file, ms"]
    return f"## Memory of the daemon\n\n{ran['files']:,} files are in the drop folder.\n\n" + table(
        heads, rows
    )


def latency(ran: Found) -> str:
    busy = ran["under_load"]
    rows = [["idle", ran["median_ms"], ran["p95_ms"]]]
    rows.append([f"under {busy['files_per_second']:g} files/s", busy["median_ms"], busy["p95_ms"]])
    heads = ["Load", "median, ms", "95 %, ms"]
    return "## Latency\n\nThe time from the rename to the commit.\n\n" + table(heads, rows)


SECTIONS: dict[str, Callable[[Found], str]] = {
    "throughput": throughput,
    "small_files": small_files,
    "peers": peers,
    "scale": scale,
    "ledger": ledger,
    "deferred": deferred,
    "formats": formats,
    "memory": memory,
    "daemon_memory": daemon_memory,
    "latency": latency,
}


# --- plots ---


def picture(name: str) -> str:
    return f"![{name.replace('_', ' ')}](performance/{name}.svg)\n\n"


def plots(found: Found) -> dict[str, str]:
    """Return name of the plot -> SVG, for the benchmarks that have results."""
    runs, svgs = found["runs"], {}
    for name, (title, unit, drawn) in PLOTS.items():
        if (ran := runs.get(name)) and "reason" not in ran:
            svgs[name] = bars(title, list(drawn(ran)), unit)
    return svgs


def _throughput_bars(ran: Found) -> Iterator[Bar]:
    for case in ran["cases"]:
        name = case_name(case)
        yield f"{name}: COPY", case["copy_rows_per_second"], "reference"
        yield f"{name}: ours", case["rows_per_second"], "ours"
        yield f"{name}: script", case["script_rows_per_second"], "reference"


def _small_bars(ran: Found) -> Iterator[Bar]:
    for way, figure in ran["figures"].items():
        series = "ours" if way in ("one", "grouped", "running") else "reference"
        yield WAYS[way], figure["files_per_second"]["median"], series


def _peer_bars(ran: Found) -> Iterator[Bar]:
    for name, peer in ran["peers"].items():
        if "rows_per_second" in peer:
            yield name, peer["rows_per_second"], "ours" if name == "sensorflow" else "reference"


def _memory_bars(ran: Found) -> Iterator[Bar]:
    for case in ran["cases"]:
        yield f"{case['kind']}, {case['mb']} MB", case["peak_mb"], "ours"


PLOTS: dict[str, tuple[str, str, Callable[[Found], Iterator[Bar]]]] = {
    "throughput": ("Rows per second on one core", "rows/s", _throughput_bars),
    "small_files": ("Files per second, 100 rows each", "files/s", _small_bars),
    "peers": ("Rows per second of other programs, one core", "rows/s", _peer_bars),
    "memory": ("Peak memory of a worker", "MB", _memory_bars),
}


def put(page: str, text: str) -> str:
    """Return the page with `text` in place of the text between its markers."""
    pattern = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"the page has no {BEGIN} ... {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n{END}", page)


def main() -> None:
    found = results.read()
    if not found:
        raise SystemExit(f"no {results.LATEST}: run `make bench` first")
    page = DOCS / "performance.md"
    page.write_text(put(page.read_text(), render(found)))
    (DOCS / "performance").mkdir(exist_ok=True)
    for name, picture in plots(found).items():
        (DOCS / "performance" / f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    main()
