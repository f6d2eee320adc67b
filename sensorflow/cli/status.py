"""sensorflow status"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, line, table

if TYPE_CHECKING:
    from sensorflow.settings import Settings

STATES = ("pending", "running", "loaded", "quarantined", "superseded", "undone")
SUMS = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate", "rows_replaced")


def status(
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless all is well, as doctor does.")
    ] = False,
) -> None:
    """How many files are where, and whether every row is accounted for.

    Exits with 0 whatever it shows. With --check it exits with 1 where a process does not run or answer,
    or is paused, `sensorflow up` works with other settings, an error keeps files, or a row is missing.
    """
    from sensorflow import bootstrap
    from sensorflow.cli.lasting import lasting
    from sensorflow.cli.running import processes
    from sensorflow.core.health import summary
    from sensorflow.embedded import state

    settings = bootstrap.settings()
    differs = bootstrap.differs(settings)
    if differs and not json:  # first: what follows may be of another database
        line(differs)
    ledger = bootstrap.ledger(settings, "cli")
    totals = ledger.totals()
    checks = processes(settings, ledger)
    stuck = lasting(bootstrap.database_url(settings))
    running = state.running(settings.data_folder) if settings.embedded else None
    flower = running.flower_url if running else None
    lasts = any(not s.passing for s in stuck)
    well = balanced(totals) and not (differs or lasts or any(c.verdict == "fail" for c in checks))
    if json:
        as_json(
            {
                "sources": totals,
                "balanced": balanced(totals),
                "health": summary(checks),
                "settings": differs or "ok",
                "flower": flower,
                "lasting": [asdict(s) for s in stuck],
            }
        )
    else:
        show(totals)
        line(balance(totals))
        line(f"health: {summary(checks)}")
        for found in stuck:
            line(f"{found}\n    {found.todo}")
        if flower:
            place = secret_file(settings)
            line(f"Flower: {flower}, user {settings.flower_user}, password in {place}")
    if check and not well:
        raise typer.Exit(1)


def secret_file(settings: Settings) -> Path:
    from sensorflow.embedded import state

    return state.home(settings.data_folder) / "flower-password"


def show(totals: dict[str, dict[str, int]]) -> None:
    table("", ("source", "files", *STATES, "rows loaded"), rows(totals))


def rows(totals: dict[str, dict[str, int]]) -> list[list[Any]]:
    return [
        [source, sums["files"], *(sums[state] for state in STATES), sums["rows_loaded"]]
        for source, sums in sorted(totals.items())
    ]


def sums_of(totals: dict[str, dict[str, int]]) -> dict[str, int]:
    return {name: sum(sums[name] for sums in totals.values()) for name in SUMS}


def balanced(totals: dict[str, dict[str, int]]) -> bool:
    s = sums_of(totals)
    return s["rows_read"] == s["rows_loaded"] + s["rows_rejected"] + s["rows_duplicate"]


def balance(totals: dict[str, dict[str, int]]) -> str:
    """The line that says whether every reading of the loaded files is accounted for."""
    s = sums_of(totals)
    verdict = "ok" if balanced(totals) else "WRONG"
    if s["rows_replaced"]:
        verdict += f"; {s['rows_replaced']} of the loaded were replaced by newer versions"
    return (
        f"balance: read={s['rows_read']} loaded={s['rows_loaded']} rejected={s['rows_rejected']} "
        f"duplicates={s['rows_duplicate']} {verdict}"
    )
