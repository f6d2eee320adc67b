"""The servers of buckets on which the contracts are tested."""

from __future__ import annotations

import os

SERVERS = {"s3": ("seaweed", "s3"), "azure": ("azurite", "az"), "gcs": ("google", "gs")}
"""Adapter -> fixture of its server, scheme of its URLs."""
BUCKETS = list(SERVERS) if os.environ.get("SENSORFLOW_CONFORMANCE") else ["s3"]
"""All of them in `make conformance`, S3 alone in `make test`."""
