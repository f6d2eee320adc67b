"""The page on performance is made from JSON alone."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import report, results

SAMPLE = json.loads((Path(__file__).parent / "benchmarks.json").read_text())


def test_every_benchmark_has_a_section_and_a_goal_that_was_not_measured_says_so(
    tmp_path: Path,
) -> None:
    found = results.write(SAMPLE["runs"], SAMPLE["machine"], False, tmp_path / "latest.json")
    text = report.render(found)
    assert [name for name in SAMPLE["runs"] if name not in report.SECTIONS] == []
    assert "| csv, 1,000,000 rows | 600,000 |" in text
    assert (
        "| 1M rows of CSV on one core: time divided by time of COPY of text | at most 1.5 | 1.4 | yes |"
        in text
    )
    assert (
        "| deferred index: rows/s divided by rows/s of COPY without an index "
        "| at least 0.6 | not measured | - |" in text
    )
    assert found["reasons"] == {"deferred_ratio": "deferred did not run"}


def test_a_run_of_some_benchmarks_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "latest.json"
    results.write(SAMPLE["runs"], SAMPLE["machine"], False, path)
    results.write({"deferred": {"reason": "not in this version"}}, SAMPLE["machine"], True, path)
    found = results.read(path)
    assert (found["copy_ratio"], found["deferred_ratio"]) == (1.4, None)
    assert found["reasons"]["deferred_ratio"] == "not in this version"


def test_plots_are_svg_with_a_bar_for_each_figure(tmp_path: Path) -> None:
    found = results.write(SAMPLE["runs"], SAMPLE["machine"], False, tmp_path / "latest.json")
    for picture in report.plots(found).values():
        ElementTree.fromstring(picture)
    assert report.plots(found)["throughput"].count("<rect") == 4


def test_only_what_lies_between_the_markers_is_replaced() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.put(page, "new\n") == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"


def test_the_page_has_its_markers() -> None:
    page = (report.DOCS / "performance.md").read_text()
    assert report.put(page, "") != ""
