"""What people ask of files, in memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sensorflow.core.account import Totals
from sensorflow.core.arrival import printable
from sensorflow.core.events import FileEvent
from sensorflow.core.listing import LATELY, Activity, FileFilter, pattern
from sensorflow.core.states import State
from sensorflow.ports.files import FileView, Listed
from sensorflow.ports.intake import Kind
from sensorflow.testing.ledger.file import OPEN, File, view_of


class Listing:
    """See `ports.ledger.Ledger`; of its methods those that list and count files."""

    _lock: threading.RLock
    _clock: Callable[[], datetime]
    _files: dict[int, File]
    _arrivals: list[tuple[str, bytes, str, Kind, int, datetime]]

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        whole: bool = False,
    ) -> list[FileView]:
        return self.matching(FileFilter(state, source, whole=whole), limit).files

    def matching(self, wanted: FileFilter, limit: int) -> Listed:
        with self._lock:
            found = [view_of(f) for f in reversed(self._files.values()) if self._fits(f, wanted)]
        return Listed(found[:limit], len(found))

    def _fits(self, file: File, wanted: FileFilter) -> bool:
        finished, landed = file.finished_at, file.arrival.landed_at
        since = wanted.finished_since
        return (
            wanted.state in (None, file.state)
            and wanted.source in (None, file.arrival.source)
            and (wanted.landed_since is None or landed >= wanted.landed_since)
            and (since is None or (finished is not None and finished >= since))
            and (wanted.code is None or (file.error or ("",))[0] == wanted.code)
            and not (wanted.rejected and not file.counts.rejected)
            and (wanted.name is None or self._is_called(file, pattern(wanted.name)))
            and not (wanted.whole and file.part is not None and file.part.follows is not None)
        )

    def _is_called(self, file: File, expression: str) -> bool:
        aliases = (a[1] for a in self._arrivals if a[4] == file.id and a[3] is Kind.ALIAS)
        names = (file.arrival.key, *aliases)
        return any(re.search(expression, printable(name), re.DOTALL) for name in names)

    def totals(self) -> dict[str, Totals]:
        totals: dict[str, Totals] = {}
        with self._lock:
            for file in self._files.values():
                source, sums = file.arrival.source, Totals.of(file.state, 1, view_of(file).account)
                totals[source] = totals.get(source, Totals()) + sums
        return totals

    def activity(self) -> dict[str, Activity]:
        with self._lock:
            sources = sorted({file.arrival.source for file in self._files.values()})
            return {source: self._activity(source) for source in sources}

    def _activity(self, source: str) -> Activity:
        now = self._clock()
        files = [f for f in self._files.values() if f.arrival.source == source]
        waiting = [self._waits_since(f) for f in files if f.state in OPEN]
        loaded = [f for f in files if f.state is State.LOADED]
        fresh = [f for f in loaded if f.finished_at and _age(now, f.finished_at) < LATELY]
        away = [f for f in files if f.state is State.QUARANTINED and f.finished_at]
        arrived = [a[5] for a in self._arrivals if a[0] == source]
        last_file = max([*arrived, *(f.arrival.landed_at for f in files)])
        holding = [f.span.high for f in loaded if f.counts.loaded > f.replaced]
        last = max((high for high in holding if high is not None), default=None)
        return Activity(
            waiting=len(waiting),
            oldest=_age(now, min(waiting)) if waiting else None,
            last_file=last_file,
            last_file_age=_age(now, last_file),
            last_reading=last,
            last_reading_age=None if last is None else _age(now, last),
            rows_per_second=sum(f.counts.loaded for f in fresh) / LATELY,
            quarantined=sum(_age(now, f.finished_at) < 3600 for f in away if f.finished_at),
        )

    def _waits_since(self, file: File) -> datetime:
        replayed: list[datetime] = [e.at for e in file.events if e.what == FileEvent.REPLAYED]
        known = [a[5] for a in self._arrivals if a[4] == file.id and a[3] is not Kind.ALIAS]
        return max([*known, *replayed, *([] if known or replayed else [self._clock()])])


def _age(now: datetime, then: datetime) -> float:
    return (now - then) / timedelta(seconds=1)
