"""The five simulated days as a table for docs/explanation/scaling.md: PYTHONPATH=.:tests python -m
scaling"""

from __future__ import annotations

from collections.abc import Iterator

from scaling.days import DAYS
from scaling.simulation import Celery, Ours, run

HEAD = (
    "| Day | Rule | Unfinished files, mean | Processes, mean | Changes of size |",
    "|---|---|---:|---:|---:|",
)


def table() -> list[str]:
    """Lines of Markdown."""
    return [*HEAD, *(line for day in DAYS for line in _day(day))]


def _day(name: str) -> Iterator[str]:
    world = DAYS[name]()
    for rule, policy in (("backlog", Ours(world)), ("Celery's", Celery(world))):
        done = run(world, policy)
        yield (
            f"| {name.replace('_', ' ')} | {rule} | {done.backlog / world.length:,.1f} "
            f"| {done.workers / world.length:.2f} | {done.changes} |"
        )


if __name__ == "__main__":
    print("\n".join(table()))
