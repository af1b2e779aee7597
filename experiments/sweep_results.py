"""The results of a sweep as tables: the advantage over a static profile against drift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .benchmark import JOBS, jobs_of, wall_seconds
from .errors import UserError
from .files import read_json
from .grid import SETTINGS
from .presets import label
from .results import (
    AgentResults,
    BenchmarkResults,
    load_benchmark,
    preset_of,
    score_table,
    validation_levels,
)
from .statistics import (
    Interval,
    bootstrap_advantage,
    bootstrap_difference,
    bootstrap_position,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from .sweep import CELLS, STRENGTH

STATIC, FILTER = "static-interest", "bayes-filter"
THRESHOLDS = np.linspace(0, 1.5, 76)


@dataclass(frozen=True)
class CellResults:
    """The finished benchmark of one environment at one strength of drift."""

    env: str
    strength: float
    results: BenchmarkResults

    @property
    def static(self) -> AgentResults:
        """The agent with a static profile.

        Raises:
            UserError: where it took no part.
        """
        return self._agent(STATIC)

    @property
    def flagship(self) -> AgentResults:
        """The first agent that is trained."""
        first = self.results.settings["learners"][0]
        return self._agent(label(first["agent"], first["algo"], first.get("variant", "")))

    @property
    def bandit(self) -> AgentResults:
        """The adaptive agent without training that is best on the validation users."""
        levels = validation_levels(self.results)
        adaptive = {a.label for a in self.results.agents if a.kind == "adaptive"} & set(levels)
        return self._agent(max(sorted(adaptive), key=levels.__getitem__, default="bandit"))

    def _agent(self, name: str) -> AgentResults:
        found = self.results.by_name(name)
        if found is None:
            raise UserError(f"{self.results.folder} has no {name} to compare")
        return found


@dataclass(frozen=True)
class SweepResults:
    """The finished cells of a sweep, read from its folder.

    Attributes:
        folder: of the sweep.
        cells: those that are finished, by environment and strength.
        unfinished: names of the others that were begun.
        wall_seconds: so far, interruptions not counted.
    """

    folder: Path
    cells: tuple[CellResults, ...]
    unfinished: tuple[str, ...]
    wall_seconds: float


def is_sweep(out: Path) -> bool:
    """Whether the folder is a sweep's."""
    return any((out / CELLS).glob(f"*/{JOBS}/{SETTINGS}"))


def load_sweep(out: Path) -> SweepResults:
    """Read the finished cells of a sweep.

    Raises:
        UserError: where the folder holds no sweep, or none of its cells is finished.
    """
    cells, unfinished = [], []
    for path in sorted((out / CELLS).glob(f"*/{JOBS}/{SETTINGS}")):
        preset, folder = preset_of(read_json(path)["settings"]), path.parents[1]
        if not all(job.done(path.parent) for job in jobs_of(preset)):
            unfinished.append(folder.name)
            continue
        strength = float(preset.env_options[STRENGTH])
        cells.append(CellResults(preset.env, strength, load_benchmark(folder)))
    if not cells:
        raise UserError(f"{out} holds no finished cell of a sweep")
    cells.sort(key=lambda cell: (cell.env, cell.strength))
    return SweepResults(out, tuple(cells), tuple(unfinished), wall_seconds(out / CELLS))


def score_tables(sweep: SweepResults) -> pd.DataFrame:
    """The tables of all cells, with columns env and strength before those of ``score_table``."""
    frames = []
    for cell in sweep.cells:
        table = score_table(cell.results)
        table.insert(0, "env", cell.env)
        table.insert(1, "strength", cell.strength)
        frames.append(table)
    return pd.concat(frames, ignore_index=True)


def advantage_table(sweep: SweepResults) -> pd.DataFrame:
    """What following the interest is worth: two rows a cell, the flagship's and the best bandit's.

    Columns: env, strength, role ("flagship" or "bandit"), agent, score and static (interquartile
    means), advantage (score / static - 1) with low and high, difference (score - static) with
    difference_low and difference_high, ahead (probability to be above static on a user), way (0 at
    static, 1 at the Bayes filter; NaN where that took no part or is not above) with way_low and
    way_high.
    """
    rows = []
    for cell in sweep.cells:
        for role, agent in (("flagship", cell.flagship), ("bandit", cell.bandit)):
            rows.append({"env": cell.env, "strength": cell.strength, "role": role})
            rows[-1] |= _advantage(agent, cell.static)
            rows[-1] |= way(agent, cell.static, cell.results.by_name(FILTER))
    return pd.DataFrame(rows)


def _advantage(ours: AgentResults, static: AgentResults) -> dict[str, Any]:
    level = float(interquartile_mean(static.scores))
    sides, strata = (ours.scores, static.scores), ours.strata
    gap = bootstrap_difference(*sides, strata=strata)
    # Of nothing there is no share.
    share = (
        bootstrap_advantage(*sides, strata=strata)
        if level > 0
        else Interval(np.nan, np.nan, np.nan)
    )
    return {
        "agent": ours.label,
        "score": float(interquartile_mean(ours.scores)),
        "static": level,
        "advantage": share.estimate,
        "low": share.low,
        "high": share.high,
        "difference": gap.estimate,
        "difference_low": gap.low,
        "difference_high": gap.high,
        "ahead": probability_of_improvement(*sides, strata=strata).estimate,
    }


def way(ours: AgentResults, static: AgentResults, end: AgentResults | None) -> dict[str, float]:
    """How far an agent comes from one, 0, to another, 1: way, way_low, way_high.

    NaN where the other took no part or is not above the one.
    """
    found = Interval(np.nan, np.nan, np.nan)
    if end is not None and interquartile_mean(end.scores) > interquartile_mean(static.scores):
        found = bootstrap_position(ours.scores, static.scores, end.scores, strata=ours.strata)
    return {"way": found.estimate, "way_low": found.low, "way_high": found.high}


def profile_table(sweep: SweepResults) -> pd.DataFrame:
    """Performance profiles at each strength of drift, over all users of all its environments.

    Scores are shares of the oracle's interquartile mean in the same cell. Columns: strength, agent,
    kind, threshold, share, low, high.
    """
    frames = []
    for strength in sorted({cell.strength for cell in sweep.cells}):
        cells = [cell.results for cell in sweep.cells if cell.strength == strength]
        best = [cell.by_name("oracle") for cell in cells]
        for agent in cells[0].agents:
            pairs = [(c.by_name(agent.label), o) for c, o in zip(cells, best, strict=True)]
            tasks = [a.scores / interquartile_mean(o.scores) for a, o in pairs if a and o]
            if len(tasks) < len(cells):
                continue  # an agent that is not everywhere has no profile over all
            profile = performance_profile(tasks, THRESHOLDS)
            frames.append(
                pd.DataFrame(vars(profile)).assign(
                    strength=strength, agent=agent.label, kind=agent.kind
                )
            )
    if not frames:
        raise UserError(f"{sweep.folder} has no oracle to measure profiles by")
    return pd.concat(frames, ignore_index=True)


def findings(table: pd.DataFrame) -> list[str]:
    """A sentence for each environment, whichever way it falls.

    Args:
        table: as :func:`advantage_table`.
    """
    return [_finding(str(env), rows) for env, rows in table.groupby("env")]


def _finding(env: str, rows: pd.DataFrame) -> str:
    ours = rows[rows["role"] == "flagship"].sort_values("strength")
    theirs = rows[rows["role"] == "bandit"].sort_values("strength")
    names = " or ".join(sorted(set(theirs["agent"])))
    return (
        f"{env}: the advantage of {ours['agent'].iloc[0]} over {STATIC} {_verdict(ours)} "
        f"{_path(ours)}; that of the best bandit ({names}) {_verdict(theirs)} {_path(theirs)}."
    )


def _verdict(rows: pd.DataFrame) -> str:
    """Whether it grows from the lowest to the highest strength, as intervals apart tell."""
    if len(rows) == 1:
        return "is"
    first, last = rows.iloc[0], rows.iloc[-1]
    if last["low"] > first["high"]:
        most = rows.loc[rows["advantage"].idxmax()]
        if most["strength"] == last["strength"]:
            return "grows with drift:"
        return f"is larger with drift, and largest {_drift(most['strength'])}:"
    if last["high"] < first["low"]:
        return "shrinks with drift:"
    return "is not seen to change with drift:"


def _path(rows: pd.DataFrame) -> str:
    """The advantage at the lowest strength, the preset's and the highest."""
    told = {rows["strength"].min(), rows["strength"].max(), 1.0}
    points = [row for row in rows.to_dict("records") if row["strength"] in told]
    return ", ".join(f"{shown(row)} {_drift(row['strength'])}" for row in points)


def shown_way(row: Any) -> str:
    """How far an agent comes from static to the filter, with its interval."""
    if np.isnan(row["way"]):
        return "-"
    return f"{row['way']:.2f} [{row['way_low']:.2f}, {row['way_high']:.2f}]"


def shown(row: Any) -> str:
    """An advantage with its interval, in per cent."""
    if np.isnan(row["advantage"]):
        return "no share of nothing"
    return f"{row['advantage']:+.1%} [{row['low']:+.1%}, {row['high']:+.1%}]"


def _drift(strength: float) -> str:
    return {0.0: "without drift", 1.0: "at the preset's drift"}.get(
        strength, f"at {strength:g} times the preset's drift"
    )
