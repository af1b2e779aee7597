"""What breaks: the tables of a robustness run, their heat maps, and the sentences on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .figures import save
from .files import write_json, write_text
from .grid import SETTINGS, Job, read_json, read_result
from .heatmap import Panel, heat_maps
from .robustness import BASELINES, BOTS, HOME, REGIMES, SPOILED, RobustnessConfig
from .statistics import bootstrap, bootstrap_difference


@dataclass(frozen=True)
class Cell:
    """One agent in one setting.

    Attributes:
        row: the agent.
        column: what it met.
        score: interquartile mean of return / horizon, with its 95 % interval.
        change: relative to the reference of the table, from -1; with its interval, paired by user.
        stayed: mean steps until users left.
    """

    row: str
    column: str
    score: tuple[float, float, float]
    change: tuple[float, float, float]
    stayed: float


@dataclass(frozen=True)
class Table:
    """One question: its cells, and in words what a change is relative to."""

    name: str
    title: str
    relative_to: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]

    def at(self, row: str, column: str) -> Cell:
        """The cell of an agent in a setting."""
        return next(c for c in self.cells if (c.row, c.column) == (row, column))


def tables(config: RobustnessConfig, folder: Path) -> list[Table]:
    """The tables of a run whose evaluations are done.

    Args:
        config: of the run.
        folder: its ``runs``.
    """
    flagship = config.agent
    regimes, agents = tuple(REGIMES), (flagship, *BASELINES)
    drift = [(row, c, f"drift/{c}/{c}") for row in (*regimes, *BASELINES) for c in regimes]
    spoiled = [(row, c, f"feedback/{row}/true") for row in agents for c in SPOILED]
    found = [
        Table(
            "drift",
            "trained under one drift (rows), met by another",
            "the agent trained under the drift that is met",
            (*regimes, *BASELINES),
            regimes,
            _cells("drift", drift, folder),
        ),
        Table(
            "feedback",
            "share of events spoiled while serving",
            "the same agent with true feedback",
            agents,
            SPOILED,
            _cells("feedback", spoiled, folder),
        ),
    ]
    if config.bots:
        bots = [(flagship, c, f"bots/{flagship}/true") for c in BOTS]
        found.append(
            Table(
                "bots",
                "share of bots among the users it was trained on",
                "the agent trained on honest users",
                (flagship,),
                BOTS,
                _cells("bots", bots, folder),
            )
        )
    return found


def _cells(kind: str, wanted: Sequence[tuple[str, str, str]], folder: Path) -> tuple[Cell, ...]:
    cells = []
    for row, column, reference in wanted:
        found = read_result(f"scores/{kind}/{row}/{column}", folder)
        ours = np.array(found["scores"])[None]
        theirs = np.array(read_result(f"scores/{reference}", folder)["scores"])[None]
        score, change = bootstrap(ours), bootstrap_difference(ours, theirs)
        level = bootstrap(theirs).estimate
        cells.append(
            Cell(
                row,
                column,
                (score.estimate, score.low, score.high),
                (change.estimate / level, change.low / level, change.high / level),
                found["stayed"],
            )
        )
    return tuple(cells)


def findings(found: Sequence[Table]) -> list[str]:
    """What breaks, worst first, and what does not: sentences computed from the tables."""
    lines = []
    for table in found:
        moved = [c for c in table.cells if c.row not in BASELINES and c.change[2] < 0]
        moved.sort(key=lambda cell: cell.change[0])
        total = sum(c.row not in BASELINES for c in table.cells)
        lines.append(
            f"{table.title}: below {table.relative_to} in {len(moved)} of {total} cells"
            + "".join(f"; {c.row} in {c.column}: {_percent(c)}" for c in moved[:4])
            + "."
        )
    drift, feedback = found[0], found[1]
    for opponent in BASELINES:
        ahead = [
            f"{row} in {column}"
            for column in drift.columns
            for row in drift.columns
            if drift.at(row, column).score[0] <= drift.at(opponent, column).score[0]
        ]
        lines.append(f"Trained agents not above {opponent}: {', '.join(ahead) or 'none'}.")
    flagship, *others = feedback.rows
    for column in feedback.columns[1:]:
        best = max(feedback.rows, key=lambda row: feedback.at(row, column).score[0])
        lost = {row: feedback.at(row, column).change[0] for row in (flagship, *others)}
        words = ", ".join(f"{row} {lost[row]:+.0%}" for row in lost)
        lines.append(f"Feedback {column}: {words}; the most is earned by {best}.")
    return lines


def _untrained(folder: Path) -> list[str]:
    """Where validation kept the start, as nothing that was learned did better."""
    kept = [n for n in REGIMES if not read_result(f"train/drift-{n}", folder)["best_step"]]
    if not kept:
        return []
    return [f"Validation kept the start, before any training, under {', '.join(kept)}."]


def _percent(cell: Cell) -> str:
    change, low, high = cell.change
    return f"{change:+.0%} [{low:+.0%}, {high:+.0%}]"


def write_report(config: RobustnessConfig, jobs: Sequence[Job], out: Path) -> list[str]:
    """Writes robustness.json, report.md and the figure into ``out``.

    Returns:
        The findings.
    """
    found = tables(config, out / "runs")
    lines = [*findings(found), *_untrained(out / "runs")]
    record = read_json(out / "runs" / SETTINGS)
    write_json(
        out / "robustness.json",
        {
            **record,
            "evaluations": len(jobs),
            "findings": lines,
            "tables": [plain(table) for table in found],
        },
    )
    panels = [
        Panel(
            f"{table.title}",
            table.rows,
            table.columns,
            [[table.at(r, c).change[0] for c in table.columns] for r in table.rows],
            [[table.at(r, c).score[0] for c in table.columns] for r in table.rows],
            f"%: beside {table.relative_to}",
        )
        for table in found
    ]
    save(heat_maps(panels), out / "robustness.png")
    write_text(out / "report.md", _markdown(config, found, lines))
    return lines


def plain(table: Table) -> dict[str, Any]:
    """A table as values that JSON knows."""
    cells = [
        {
            "row": c.row,
            "column": c.column,
            "score": [round(x, 4) for x in c.score],
            "change": [round(x, 4) for x in c.change],
            "steps_stayed": round(c.stayed, 2),
        }
        for c in table.cells
    ]
    return {"name": table.name, "change_is_relative_to": table.relative_to, "cells": cells}


def _markdown(config: RobustnessConfig, found: Sequence[Table], lines: Sequence[str]) -> str:
    parts = [
        f"# What breaks {config.agent} ({config.algo.upper()}) on {config.env}",
        "\n".join(f"- {line}" for line in lines),
        "![Heat maps](robustness.png)",
    ]
    for table in found:
        head = "| agent | " + " | ".join(table.columns) + " |"
        rule = "| --- | " + " | ".join("---:" for _ in table.columns) + " |"
        rows = [
            f"| {row} | " + " | ".join(_shown(table.at(row, c)) for c in table.columns) + " |"
            for row in table.rows
        ]
        title = f"## {table.title[0].upper()}{table.title[1:]}"
        parts.append("\n".join([title, "", f"In brackets: beside {table.relative_to}.", ""]))
        parts.append("\n".join([head, rule, *rows]))
    parts.append(
        f"Score: interquartile mean of return / horizon over the same {config.users} test users. "
        f"Options of the environment: {config.env_options or 'as it comes'}. "
        f"One training of {config.steps:,} user-steps a row (seed {config.seed}): the luck of "
        "training is in no interval. Intervals, paired by user, are in robustness.json. Regimes: "
        + "; ".join(f"{name}: {options or 'as it comes'}" for name, options in REGIMES.items())
        + f". Feedback is spoiled under the regime {HOME}, warm-up included; lost: reads as not "
        "taken; random: one slot at random reads as taken to the end; inverted: every slot reads "
        "1 less its grade. Agents trained among bots learn from feedback alone, without the "
        "platform's log, and serve users of whom none is a bot."
    )
    return "\n\n".join(parts) + "\n"


def _shown(cell: Cell) -> str:
    return f"{cell.score[0]:.2f} ({cell.change[0]:+.0%})"
