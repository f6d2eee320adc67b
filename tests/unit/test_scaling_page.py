"""The table of the simulated days in the documentation is what the simulation says."""

from __future__ import annotations

from pathlib import Path

from scaling.__main__ import table

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "scaling.md"


def test_the_page_has_the_figures_of_the_simulation() -> None:
    _, _, rest = PAGE.read_text("utf-8").partition(
        "<!-- simulated: begin; PYTHONPATH=.:tests python -m scaling -->"
    )
    shown, _, _ = rest.partition("<!-- simulated: end -->")
    assert shown.strip().splitlines() == table()
