"""What the README says came out is what the reports say."""

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
