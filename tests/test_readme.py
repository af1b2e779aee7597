"""What the README says came out is what the reports say."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["demo", "movielens-100k", "ml-latest-small"])
def test_findings_are_those_of_the_reports(name):
    report = (ROOT / "results" / name / "report.md").read_text(encoding="utf-8")
    findings = report.split("## Scores")[0].splitlines()
    findings = [line for line in findings if line.startswith("- ")]
    assert findings and all(line in README for line in findings)


def test_the_score_table_is_the_demos():
    report = (ROOT / "results" / "demo" / "report.md").read_text(encoding="utf-8")
    rows = [line for line in report.split("## Scores")[1].splitlines() if line.startswith("| ")]
    for row in rows[2 : rows.index(rows[-1])]:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 11 and cells[2].replace(".", "").isdigit():
            assert "| " + " | ".join(cells[:9]) + " |" in README
