"""The sources that people have paused or are draining. The intake takes in no files of these sources."""

from __future__ import annotations

from collections.abc import Collection

from sensorflow.core.controls import Control, Mode
from sensorflow.ports.controls import Controls
from sensorflow.telemetry import Event, emit

_EVENTS = {Mode.PAUSED: Event.SOURCE_PAUSED, Mode.DRAINING: Event.SOURCE_DRAINING}


class HeldBack:
    """The modes of this process's sources that are paused or draining, according to the ledger. Each change
    is logged."""

    def __init__(self, ledger: Controls, sources: Collection[str]) -> None:
        self._ledger, self._sources = ledger, sources
        self._known: dict[str, Control] = {}

    def __contains__(self, source: str) -> bool:
        return source in self._known

    @property
    def modes(self) -> dict[str, str]:
        """Source -> mode, for the heartbeat."""
        return {source: str(control.mode) for source, control in self._known.items()}

    def refresh(self) -> None:
        """Query the modes. Raises Transient DATABASE if the ledger is unavailable; the known modes then do
        not change."""
        found = self._ledger.controls()
        found = {source: found[source] for source in self._sources if source in found}
        for source in self._known.keys() - found.keys():
            emit(Event.SOURCE_RESUMED, source=source)
        for source, control in found.items():
            known = self._known.get(source)
            if known is None or known.mode is not control.mode:
                since = control.since.isoformat(timespec="seconds")
                facts = {"by": control.actor, "since": since, "why": control.reason}
                emit(_EVENTS[control.mode], source=source, **facts)
        self._known = found
