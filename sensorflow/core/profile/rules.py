"""What a reading must be."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sensorflow.core.profile.scalars import Seconds, Texts
from sensorflow.core.profile.strict import Strict


class Rule(Strict):
    """What a reading of one type must be. severity: a reading that is not is refused, or flagged.

    future: how far ahead of its file's arrival it may lie. flatline (so many equal values in a row),
    spike (a change per second greater than this) and gap (after a silence longer than this) flag
    only.
    """

    required: bool = False
    integer: bool = False
    min: float | None = None
    max: float | None = None
    units: Texts | None = None
    allowed: tuple[float, ...] | None = None
    future: Seconds | None = None
    monotonic: Literal["increasing", "decreasing"] | None = None
    severity: Literal["reject", "flag"] = "reject"
    flatline: int | None = Field(default=None, ge=2)
    spike: float | None = Field(default=None, gt=0)
    gap: Seconds | None = None

    @model_validator(mode="after")
    def _sane(self) -> Rule:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")
        if self.required and self.severity == "flag":
            raise ValueError("a missing reading cannot be flagged; set severity = 'reject'")
        return self
