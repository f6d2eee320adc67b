"""Every feed keeps what `ports.feed.Feed` says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sites import SITES, started

from sensorflow.testing.conformance.feeds import *  # noqa: F403
from sensorflow.testing.conformance.feeds import FeedSite


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Iterator[FeedSite]:
    with started(request.param) as found:
        yield found
