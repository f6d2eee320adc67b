"""Measurements of speed and memory, each a ratio against a reference that ran beside it.

    python -m benchmarks            everything; hours
    python -m benchmarks --quick    the two figures that changes are judged by; under four minutes
    python -m benchmarks NAME...    only these

What each measures is the first line of its module. Results go to `benchmarks/results/latest.json`, the
table and the plots of docs/explanation/performance.md are made from that.
"""

from sensorflow.memory import configure_allocator

configure_allocator()  # as a worker
