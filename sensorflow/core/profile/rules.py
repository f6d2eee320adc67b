"""Validation rules for readings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sensorflow.core.profile.scalars import Seconds, Texts
from sensorflow.core.profile.strict import Strict


class Rule(Strict):
    """Limits for the readings of one reading type. severity: whether a reading that violates a limit is
    rejected or flagged.

    required: whether an empty cell of this type is rejected. integer: whether values must be whole numbers.
    units, allowed: the allowed units and values. future: the maximum duration by which a reading's time may
    be later than the arrival of its file. monotonic: "increasing" if the values of a series must not
    decrease, "decreasing" if they must not increase.

    Three limits only flag readings. flatline: flag a reading if it and the readings before it form a
    sequence of at least this many equal values. spike: flag a reading if the change per second from the
    previous reading is greater than this number. gap: flag a reading if the time since the previous reading
    is longer than this duration.
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
