"""What a source says about files whose columns are not the profile's."""

from __future__ import annotations

from typing import Literal

from sensorflow.core.profile.strict import Strict

Policy = Literal["ignore", "rescue", "quarantine"]


class Drift(Strict):
    """What becomes of a file whose columns are not the profile's: new ones, missing ones, ones with
    another unit. A column without which no reading can be made is always missed."""

    new: Policy = "ignore"
    missing: Policy = "quarantine"
    changed: Policy = "quarantine"
