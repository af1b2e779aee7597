"""What the README says came out is what the reports say."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_readmes_figures_are_those_of_the_results(readme):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.render(text) == text


def test_every_committed_report_is_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for report in (ROOT / "results").glob("*/report.md"):
        if "## Scores" not in report.read_text(encoding="utf-8"):
            continue  # of another kind than a benchmark's
        assert f"<!-- findings {report.parent.name} -->" in text


def test_a_figure_that_is_not_the_reports_is_written_anew(readme):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.render(text.replace("| oracle | ", "| oracle | 9")) == text


def test_every_picture_that_a_page_shows_is_there():
    pages = [*ROOT.glob("README*.md"), *(ROOT / "results").glob("*/report.md")]
    for page in pages:
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / picture).is_file(), f"{page.relative_to(ROOT)}: {picture}"
