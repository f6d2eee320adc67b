"""sensorflow status"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorflow.cli.show import Json, as_json, line, table

if TYPE_CHECKING:
    from sensorflow.settings import Settings

STATES = ("pending", "running", "loaded", "quarantined", "superseded", "undone")
SUMS = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate", "rows_replaced")


def status(json: Json = False) -> None:
    """How many files are where, and whether every row is accounted for."""
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
        return
    show(totals)
    line(balance(totals))
    line(f"health: {summary(checks)}")
    for found in stuck:
        line(f"{found}\n    {found.todo}")
    if flower:
        line(f"Flower: {flower}, user {settings.flower_user}, password in {secret_file(settings)}")


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
