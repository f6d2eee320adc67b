"""A source's policy for files whose columns differ from the profile."""

from __future__ import annotations

from typing import Literal

from sensorflow.core.profile.strict import Strict

Policy = Literal["ignore", "rescue", "quarantine"]


class Drift(Strict):
    """A source's policies for files whose columns differ from the profile. new: the policy for columns that
    the profile does not mention. missing: the policy for missing columns. changed: the policy for columns
    with another unit. If a column that every reading needs is missing, the file fails under every
    policy."""

    new: Policy = "ignore"
    missing: Policy = "quarantine"
    changed: Policy = "quarantine"
