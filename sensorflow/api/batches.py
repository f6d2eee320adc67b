"""Arrow batches that are produced on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd  # commands import this module, and do without pandas


class Batches:
    """Arrow record batches with the same schema, which are produced while you iterate, in bounded memory.
    Each iteration starts from the beginning.

    `to_table` and `to_pandas` return all rows at once. `reader` returns a `RecordBatchReader` for other
    libraries.
    """

    def __init__(
        self, schema: pa.Schema, begin: Callable[[], Iterator[pa.RecordBatch]], what: str
    ) -> None:
        self.schema = schema
        self._begin, self._what = begin, what

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._begin()

    def __repr__(self) -> str:
        return f"<batches of {self._what}: {', '.join(self.schema.names)}>"

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def to_table(self) -> pa.Table:
        return pa.Table.from_batches(iter(self), self.schema)

    def to_pandas(self) -> pd.DataFrame:
        return self.to_table().to_pandas()
