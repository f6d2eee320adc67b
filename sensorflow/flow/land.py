"""Copy a file's bytes, hashed and synced, into the landing zone. Nobody reads the drop folder after."""

from __future__ import annotations

from collections.abc import Callable

from sensorflow.core.arrival import Landed
from sensorflow.core.stability import Stat
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.ports.objects import Reader


def land(
    landing: Landing | LandingBatch, stream: Reader, stat: Callable[[], Stat]
) -> tuple[Landed, Stat] | None:
    """Land an open file; None when it changed while it was read (it will be seen again).

    In a batch it is safe only when that has ended.

    stat: the state of the open file now; compared before and after.
    """
    before = stat()
    landed = landing.put(stream)
    after = stat()
    if before != after or landed.size != after.size:
        return None
    return landed, after
