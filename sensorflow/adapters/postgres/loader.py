"""The ledger: loads. The load itself is imported only by loading processes, because it needs Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sensorflow.adapters.postgres import archives
from sensorflow.adapters.postgres.growing import Segments, segment_of
from sensorflow.adapters.postgres.indexing import Wanted
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import view_of
from sensorflow.core.arrival import Arrival
from sensorflow.core.gates.announced import Announced
from sensorflow.core.growth import Part, Segment
from sensorflow.core.touched import Touched
from sensorflow.errors import Fenced
from sensorflow.ports.claims import Claim
from sensorflow.ports.intake import Registration
from sensorflow.ports.loading import Keyed, Load, Loaded, Older, Unloaded, Unpack

if TYPE_CHECKING:
    import pyarrow as pa

    from sensorflow.adapters.postgres.loading import Months


class Loader(Segments):
    """See `ports.loading.Loader`.

    deferred: how the settings say that the database guards its readings (see `indexing`). A load raises
    Transient INDEX_DIFFERS if the database differs.
    """

    def __init__(self, url: str, who: str, pool: int = 2, deferred: bool = False) -> None:
        super().__init__(url, who, pool)
        self._months: Months | None = None
        self._wanted = Wanted(deferred)

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        from sensorflow.adapters.postgres import loading  # needs Arrow

        self._months = self._months or loading.Months(self._engine)
        months, wanted = self._months, self._wanted
        with self._transaction() as c:
            return loading.load(c, self._who, claim, batches, load, closing, months, wanted)

    def load_together(
        self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]
    ) -> list[Touched] | None:
        from sensorflow.adapters.postgres import loading, together

        self._months = self._months or loading.Months(self._engine)
        try:
            with self._transaction() as c:
                return together.load(c, self._who, files, self._months, self._wanted)
        except (together.Apart, Fenced):
            return None

    def older(self, claim: Claim) -> Older:
        place = {"source": claim.source, "name": claim.known_as, "version": claim.version}
        with self._transaction() as c:
            unloaded = run(c, "unloaded_versions", **place, size=claim.size).all()
            before = run(c, "predecessor", **place).mappings().first()
        waiting = tuple(Unloaded(row.id, row.size, bytes(row.sha256)) for row in unloaded)
        return Older(waiting, None if before is None else view_of(before))

    def unpack(self, claim: Claim, members: Sequence[Arrival], how: Unpack) -> list[Registration]:
        with self._transaction() as c:
            return archives.unpack(c, self._who, claim, members, how)

    def announced(self, file_id: int) -> list[Announced]:
        with self._statement() as c:
            return [Announced.of_json(row.what) for row in run(c, "announced", id=file_id)]

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        with self._transaction() as c:
            place = {"root": part.root, "end": part.byte_offset, "limit": limit}
            rows = run(c, "segments_before", **place).all()
        return [segment_of(row) for row in reversed(rows)]

    def rows_beside(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        import pyarrow as pa

        from sensorflow.core.readings import BESIDE, NS, Span

        span = Span().over(ts.cast(NS))
        facts: dict[str, Any] = {"root": part.root, "id": file_id, "ts": ts.to_pylist()}
        query = "rows_beside"
        if self._wanted.deferred:
            query, facts = "rows_beside_deferred", {**facts, "low": span.low, "high": span.high}
        with self._transaction() as c:
            rows = [dict(row) for row in run(c, query, **facts).mappings()]
        for row in rows:
            row["dedupe_key"] = row["dedupe_key"].bytes
        return pa.RecordBatch.from_pylist(rows, schema=BESIDE)
