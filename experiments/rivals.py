"""The flagship against every other agent of a sweep's cells, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .results import AgentResults
from .statistics import (
    Interval,
    bootstrap_difference,
    interquartile_mean,
    probability_of_improvement,
)
from .sweep_results import FILTER, CellResults, SweepResults, shown_way, way


def rival_table(sweep: SweepResults) -> pd.DataFrame:
    """A row for each agent of each cell, the flagship's own among them.

    Columns: env, strength, agent, kind, seeds, score (interquartile mean), way (0 at static, 1 at
    the Bayes filter) with way_low and way_high, lead (of the flagship on it, paired by users) with
    lead_low and lead_high, ahead (probability that the flagship is ahead on a user), before and
    after (share of the best possible reward around abrupt shifts), recovery (steps until 90 % of
    its own share before is regained), level (until 90 % of the best bandit's is).
    """
    rows: list[dict[str, Any]] = []
    for cell in sweep.cells:
        level = cell.bandit.recovery().before
        rows += [_row(cell, agent, level) for agent in cell.results.agents]
    return pd.DataFrame(rows)


def _row(cell: CellResults, agent: AgentResults, level: float) -> dict[str, Any]:
    ours, strata, shift = cell.flagship, agent.strata, agent.recovery()
    from_to = way(agent, cell.static, cell.results.by_name(FILTER))
    lead, ahead = Interval(0.0, 0.0, 0.0), 0.5
    if agent.label != ours.label:
        lead = bootstrap_difference(ours.scores, agent.scores, strata=strata)
        ahead = probability_of_improvement(ours.scores, agent.scores, strata=strata).estimate
    return {
        "env": cell.env,
        "strength": cell.strength,
        "agent": agent.label,
        "kind": agent.kind,
        "seeds": len(agent.scores),
        "score": float(interquartile_mean(agent.scores)),
        **from_to,
        "lead": lead.estimate,
        "lead_low": lead.low,
        "lead_high": lead.high,
        "ahead": ahead,
        "before": shift.before,
        "after": shift.after(),
        "recovery": shift.steps,
        "level": shift.until(level),
    }


def shown_rivals(table: pd.DataFrame) -> pd.DataFrame:
    """One row an agent, one column a cell: its way to the filter, and whether it is level with us.

    Args:
        table: as :func:`rival_table`.
    """
    ranked = table.groupby("agent", sort=False)["way"].mean().sort_values(ascending=False)
    rows = []
    for agent in ranked.index:
        row = {"agent": agent}
        for (env, strength), cell in table.groupby(["env", "strength"]):
            name = f"{str(env).removeprefix('driftrec/')}, drift {strength:g}"
            found = cell[cell["agent"] == agent].to_dict("records")
            row[name] = _cell(found[0]) if found else "-"
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(row: dict[str, Any]) -> str:
    if np.isnan(row["way"]) or row["lead_low"] > 0 or row["lead"] == 0:
        return shown_way(row)
    return f"{shown_way(row)} {'>' if row['lead_high'] < 0 else '='}"
