"""The form of exported readings: buckets of time, wide tables, and text formats."""
