"""Writes the README's figures from the committed results.

    python benchmarks/readme.py

A block between ``<!-- findings NAME -->``, ``<!-- scores NAME -->``, ``<!-- levels NAME -->``,
``<!-- advantages NAME -->``, ``<!-- rivals NAME -->``, ``<!-- beside NAME -->``, ``<!-- gate -->``,
``<!-- lighter -->`` or ``<!-- tuned -->`` and ``<!-- end -->`` is written anew from
``results/NAME/report.md``, ``results/gate.json``, ``results/lighter.json`` or ``results/tuned``;
all else is left as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from driftrec.experiments.files import write_text
from driftrec.experiments.gate import summary
from driftrec.experiments.presets import label

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
_BLOCK = re.compile(r"(<!-- (\w+)(?: ([\w-]+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def findings(report: str) -> str:
    """The sentences at the head of a report."""
    head = report.split("## Scores")[0].splitlines()
    return "\n".join(line for line in head if line.startswith("- "))


def _rows(report: str, heading: str = "Scores") -> list[list[str]]:
    section = report.split(f"## {heading}")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def _written(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def scores(report: str) -> str:
    """The table of scores without its last two columns."""
    return _written([row[:9] for row in _rows(report)])


def levels(report: str) -> str:
    """Score with interval, and normalized score."""
    lines = ["| agent | score | normalized |", "| --- | ---: | ---: |"]
    for row in _rows(report)[2:]:
        lines.append(f"| {row[0]} | {row[2]} ({row[3]}) | {row[4]} |")
    return "\n".join(lines)


def advantages(report: str) -> str:
    """The whole table of a sweep's report."""
    return _written(_rows(report))


def rivals(report: str) -> str:
    """The table of all agents' ways to the filter."""
    return _written(_rows(report, "Way to the filter"))


def beside(report: str) -> str:
    """The table of how far each agent is from the flagship."""
    return _written(_rows(report, "Beside"))


def gate() -> str:
    """The table of the gate."""
    return summary(json.loads((ROOT / "results/gate.json").read_text())["reports"])


def lighter() -> str:
    """The table of what user models cost, made lighter by each flag."""
    models = json.loads((ROOT / "results/lighter.json").read_text())["models"]
    lines = [
        "| user model | | MB | p50 ms | p99 ms | same ten | score | lost |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for model, found in models.items():
        for flags, row in found["rows"].items():
            score = f"{row['score']:.2f}" if "score" in row else "-"
            lost = f"{row['lost']:.3f} ± {row['+-']:.3f}" if "score" in row else "-"
            cost = f"{row['size']:.1f} | {row['p50']:.1f} | {row['p99']:.1f}"
            lines.append(
                f"| {model} | {flags} | {cost} | {row['overlap']:.3f} | {score} | {lost} |"
            )
    return "\n".join(lines)


def tuned() -> str:
    """The table of the studies: each agent as it is, and the best of its trials."""
    lines = [
        "| agent | trials | as it is | best | by trial |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for path in sorted((ROOT / "results/tuned").glob("*/best.json")):
        best = json.loads(path.read_text())
        name = label(best["agent"], best["algo"]) if best["algo"] else best["agent"]
        scores = f"{best['untuned_score']:.3f} | {best['score']:.3f}"
        lines.append(f"| {name} | {best['trials']} | {scores} | {best['trial']} |")
    return "\n".join(lines)


def render(text: str) -> str:
    """The text with its blocks written anew."""

    def block(match: re.Match[str]) -> str:
        start, kind, name, end = match.groups()
        if not name:
            table = {"gate": gate, "lighter": lighter, "tuned": tuned}[kind]()
            return f"{start}{table}\n{end}"
        report = (ROOT / "results" / name / "report.md").read_text(encoding="utf-8")
        makers = {
            "findings": findings,
            "scores": scores,
            "levels": levels,
            "advantages": advantages,
            "rivals": rivals,
            "beside": beside,
        }
        return f"{start}{makers[kind](report)}\n{end}"

    return _BLOCK.sub(block, text)


if __name__ == "__main__":
    write_text(README, render(README.read_text(encoding="utf-8")))
