"""Conformance suites: tests of the contract of each port. Only this package imports pytest.

Your test module imports everything from a suite and defines the suite's fixture:

    from sensorflow.testing.conformance.stores import *

    @pytest.fixture
    def objects(tmp_path): return Shelf(tmp_path / "shelf.sqlite")

| Suite | Fixture |
|---|---|
| `stores` | `objects`: an empty `ObjectStore` |
| `brokers` | `broker`: a `Broker` of an empty broker |
| `publishers` | `publisher`: a `Publisher` of an empty broker |
| `feeds` | `site`: a `FeedSite` of an empty feed |
| `half_written` | the same `site`, for a feed in which single files can be half written or unreadable |
| `formats` | `sample`: a `Sample` |
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{suite}"
        for suite in ("stores", "brokers", "publishers", "feeds", "half_written", "formats")
    )
)
