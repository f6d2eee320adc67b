"""How much of the fleet a source may use while other sources have files waiting too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The turns of one source. weight: its share in relation to other sources, above 0. max_in_flight: its
    quota, the maximum number of its published, unfinished files; None for no limit of its own."""

    weight: float = 1.0
    max_in_flight: int | None = None
