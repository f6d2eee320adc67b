"""The share of the fleet that a source may use while files of other sources also wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceShare:
    """The share of one source. weight: the share of the workers in relation to other sources with waiting
    files: a source of weight 2 gets twice the work of a source of weight 1. max_in_flight: the maximum
    number of unfinished files of the source for which a message was sent; None if the source has no limit
    of its own."""

    weight: float = 1.0
    max_in_flight: int | None = None
