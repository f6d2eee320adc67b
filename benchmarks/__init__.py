"""Measures speed and memory. Most results are ratios to a reference that is measured in the same run.

    python -m benchmarks            all benchmarks; takes hours
    python -m benchmarks --quick    the benchmarks to run after a change; takes less than four minutes
    python -m benchmarks NAME...    only these benchmarks

The docstring of each module says what the benchmark measures. The results are written to
`benchmarks/results/latest.json`. `python -m benchmarks.report` generates the tables and plots of
docs/explanation/performance.md from this file.
"""

from sensorflow.memory import configure_allocator

configure_allocator()  # as a worker
