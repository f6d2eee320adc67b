"""How long tests wait for what must come; no machine is too slow. Only a test that fails waits so long."""

from __future__ import annotations

import os

PATIENCE = float(os.environ.pop("PATIENCE", "300"))
"""Seconds. Runs that are to fail set less (`tests/faults/guards.py`)."""
