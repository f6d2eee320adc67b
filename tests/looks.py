"""The intake, turn by turn: for tests of what it takes, where no thread is wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.flow.intake.leases import Leases
from sensorflow.flow.intake.loop import Intake
from sensorflow.flow.intake.parts import Parts
from sensorflow.flow.landing import Landing
from sensorflow.ports.feed import Feed
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings


class Inspections:
    """Of a daemon that has just started."""

    def __init__(
        self, settings: Settings, feeds: Sequence[Feed], landing: Landing, ledger: Ledger
    ) -> None:
        names = [feed.name for feed in feeds]
        leases = Leases(ledger, names, "test", "test", 60, lambda _: True)
        loop = LoopStatus(LoopReport(Role.INTAKE, "host", 1, "test", "", {}), threading.Event())
        self.intake = Intake(settings, feeds, landing, ledger, leases, loop, self._registered)
        self.intake.start()
        leases.keep()
        self._grew = False

    def _registered(self) -> None:
        self._grew = True

    def run_once(self) -> bool:
        """Take what all feeds have now; returns whether there was anything."""
        self._grew = False
        self.intake._apply_lease_changes()
        for source in self.intake._strategies:
            self.intake._rewind(source)
        self.intake._poll(time.monotonic())
        while self.intake._turns:
            self.intake._take_turn(0)
        return self._grew

    def state(self) -> dict[str, Any]:
        """What the daemon's heartbeat says."""
        report = self.intake._loop.report()
        assert report is not None
        return report.state

    def parts(self, source: str) -> Parts:
        found = self.intake.strategy(source)
        assert isinstance(found, Parts)
        return found
