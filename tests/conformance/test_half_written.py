"""Feeds whose files can be half written, or unreadable one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sites import started

from sensorflow.testing.conformance.feeds import FeedSite
from sensorflow.testing.conformance.half_written import *  # noqa: F403


@pytest.fixture(params=["folder", "toy"])
def site(request: pytest.FixtureRequest) -> Iterator[FeedSite]:
    with started(request.param) as found:
        yield found
