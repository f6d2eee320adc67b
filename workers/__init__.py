"""The Celery workers: ``celery -A workers worker``. Each task processes the files of one message with
``sensorflow.flow``."""

from sensorflow import lossy_stream, memory

memory.configure_allocator()
memory.without_pandas()

from workers import flower  # noqa: E402 - its imports need the lines above
from workers.app import app, command  # noqa: E402

if command() is not None:
    lossy_stream.install()
if command() in ("beat", "flower"):  # they process no batches, and trim no heap
    memory.limit_free_heap()
flower.guard()

__all__ = ["app"]
