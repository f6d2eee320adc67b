"""The part of the ledger that loads files. Modules that need Arrow are imported at the first load, so that
other processes do not import Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sensorflow.adapters.postgres import archives
from sensorflow.adapters.postgres.growing import Segments, segment_of
from sensorflow.adapters.postgres.indexing import ExpectedIndexMode
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import view_of
from sensorflow.core.arrival import Arrival
from sensorflow.core.gates.announced import Announced
from sensorflow.core.growth import Part, Segment
from sensorflow.core.touched import Touched
from sensorflow.errors import Fenced
from sensorflow.ports.claims import Claim
from sensorflow.ports.intake import Registration
from sensorflow.ports.loading import Keyed, Load, Loaded, OlderVersions, UnloadedVersion, Unpack

if TYPE_CHECKING:
    import pyarrow as pa

    from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
    from sensorflow.core.partition_width import Width


class Loader(Segments):
    """Implements `ports.loading.Loader`.

    deferred: whether the settings require the index mode "deferred" (see `indexing`). A load raises
    Transient INDEX_DIFFERS if the database is in the other mode. partition_width: the width of new
    partitions; None to choose it from the rate of readings.
    """

    def __init__(
        self,
        url: str,
        actor: str,
        pool: int = 2,
        deferred: bool = False,
        partition_width: Width | None = None,
    ) -> None:
        super().__init__(url, actor, pool)
        self._partition_width = partition_width
        self._created: PartitionCreator | None = None
        self._index_mode = ExpectedIndexMode(deferred)

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        from sensorflow.adapters.postgres import loading  # needs Arrow

        partitions, mode = self._partitions, self._index_mode
        with self._transaction() as c:
            return loading.load(c, self._actor, claim, batches, load, closing, partitions, mode)

    def load_batch(
        self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]
    ) -> list[Touched] | None:
        from sensorflow.adapters.postgres import batch_loading

        partitions = self._partitions
        try:
            with self._transaction() as c:
                return batch_loading.load_batch(c, self._actor, files, partitions, self._index_mode)
        except (batch_loading.NotBatchable, Fenced):
            return None

    @property
    def _partitions(self) -> PartitionCreator:
        from sensorflow.adapters.postgres.reading_partitions import PartitionCreator  # needs Arrow

        if self._created is None:
            self._created = PartitionCreator(self._engine, self._partition_width)
        return self._created

    def older_versions(self, claim: Claim) -> OlderVersions:
        place = {"source": claim.source, "name": claim.known_as, "version": claim.version}
        with self._transaction() as c:
            unloaded = run(c, "unloaded_versions", **place, size=claim.size).all()
            before = run(c, "predecessor", **place).mappings().first()
        waiting = tuple(UnloadedVersion(row.id, row.size, bytes(row.sha256)) for row in unloaded)
        return OlderVersions(waiting, None if before is None else view_of(before))

    def unpack(self, claim: Claim, members: Sequence[Arrival], plan: Unpack) -> list[Registration]:
        with self._transaction() as c:
            return archives.unpack(c, self._actor, claim, members, plan)

    def announced(self, file_id: int) -> list[Announced]:
        with self._statement() as c:
            return [Announced.of_json(row.what) for row in run(c, "announced", id=file_id)]

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        with self._transaction() as c:
            place = {"root": part.root, "end": part.byte_offset, "limit": limit}
            rows = run(c, "segments_before", **place).all()
        return [segment_of(row) for row in reversed(rows)]

    def rows_in_other_parts(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        import pyarrow as pa

        from sensorflow.core.readings import NS, OTHER_PARTS, Span

        span = Span().over(ts.cast(NS))
        facts: dict[str, Any] = {"root": part.root, "id": file_id, "ts": ts.to_pylist()}
        query = "rows_beside"
        if self._index_mode.deferred:
            query, facts = "rows_beside_deferred", {**facts, "low": span.low, "high": span.high}
        with self._transaction() as c:
            rows = [dict(row) for row in run(c, query, **facts).mappings()]
        for row in rows:
            row["dedupe_key"] = row["dedupe_key"].bytes
        return pa.RecordBatch.from_pylist(rows, schema=OTHER_PARTS)
