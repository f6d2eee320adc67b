"""Which adapters a conformance test is for, where that is not all."""

from __future__ import annotations

import pytest

ON_POSTGRES = pytest.mark.parametrize("ledger", ["postgres"], indirect=True)
"""The ledger in memory does not do it, and says so."""
