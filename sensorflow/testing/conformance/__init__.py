"""What every adapter of a port must keep, as tests for pytest, which is imported here alone.

A test module of yours imports all of a suite and gives the fixture that it asks for:

    from sensorflow.testing.conformance.stores import *

    @pytest.fixture
    def objects(tmp_path): return Shelf(tmp_path / "shelf.sqlite")

| Suite | Fixture |
|---|---|
| `stores` | `objects`: an empty `ObjectStore` |
| `brokers` | `broker`: a `Both` of an empty broker |
| `publishers` | `publisher`: a `Publisher` of an empty broker |
| `feeds` | `site`: a `Site` of an empty feed |
| `half_written` | the same, of a feed whose files can be half written, or unreadable one by one |
| `formats` | `sample`: a `Sample` |
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{suite}"
        for suite in ("stores", "brokers", "publishers", "feeds", "half_written", "formats")
    )
)
