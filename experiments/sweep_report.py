"""A sweep's report: a finding for each environment, one table, the headline figure."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from .figures import save
from .files import write_text
from .page import Page
from .report import Report, describe_setting
from .rivals import rival_table, shown_rivals
from .sweep_figures import advantage, profiles
from .sweep_results import (
    SweepResults,
    advantage_table,
    findings,
    profile_table,
    score_tables,
    shown,
    shown_way,
)

CAPTIONS = {
    "advantage": "Interquartile mean score against that of static-interest, on the same users, "
    "with the paired 95 % interval over users and training seeds. Every agent was tuned or trained "
    "anew for each point.",
    "profiles": "Performance profiles: share of users and training seeds, over all environments, "
    "whose score is above a share of the oracle's interquartile mean there (95 % band).",
}
RIVALS = "Way to the filter, agent by agent (= level with the flagship, > above it)"
NOTES = (
    "drift: multiple of the environment's own drift; 0 is a world that stands still.",
    "scores: interquartile mean of return / horizon over test users and training seeds, in the "
    "environment's unit.",
    "advantage: score / static-interest's - 1, with its paired stratified bootstrap 95 % interval. "
    "It grows or shrinks where the intervals of its first and its last point lie apart; "
    "it is larger, and not said to grow, where it is largest in between.",
    "without drift, what is left of an advantage is what goes on being learned of a taste that "
    "stays; static-interest knows of it what the history tells.",
    "best bandit: that of the adaptive agents without training that is ahead on the validation "
    "users of the cell.",
    "way to the filter: where the flagship lies from static-interest, 0, to the Bayes filter, 1, "
    "with its paired interval. The filter knows the law of drift and looks one request ahead.",
)


def write_sweep_report(results: SweepResults) -> Report:
    """Write scores.csv, advantages.csv, where it says something rivals.csv, figures and report."""
    folder = results.folder
    table, scores = advantage_table(results), score_tables(results)
    for name, frame in (("scores", scores), ("advantages", table)):
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    write_sweep_figures(results, table, folder)
    told = tuple(findings(table))
    page = Page(
        f"driftrec benchmark: {results.cells[0].results.settings['name']}",
        told, shown_table(table, scores), NOTES, CAPTIONS, _setting(results), _rivals(results),
    )  # fmt: skip
    page.write(folder)
    plain = json.loads(scores.to_json(orient="records"))  # NaN and infinity become null
    return Report(folder, plain, page.table.to_string(index=False, justify="right"), told)


def _rivals(results: SweepResults) -> dict[str, pd.DataFrame]:
    """Where several agents were trained, each of them beside all others; also as rivals.csv."""
    if len(results.cells[0].results.settings["learners"]) == 1:
        return {}
    table = rival_table(results)
    write_text(results.folder / "rivals.csv", table.to_csv(index=False, lineterminator="\n"))
    return {RIVALS: shown_rivals(table)}


def write_sweep_figures(results: SweepResults, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw the figures of a sweep into ``folder``."""
    drawn = {
        "advantage": advantage(table, "What following the interest is worth"),
        "profiles": profiles(profile_table(results), "All users of all environments"),
    }
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in drawn]


def shown_table(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, as strings: what the table of a report shows.

    Args:
        table: as ``sweep_results.advantage_table``.
        scores: as ``sweep_results.score_tables``.
    """
    level = scores.set_index(["env", "strength", "agent"])["score"]
    rows = []
    for (env, strength), pair in table.groupby(["env", "strength"]):
        by_role = pair.set_index("role").to_dict("index")
        ours, bandit = by_role["flagship"], by_role["bandit"]
        row = {
            "environment": str(env).removeprefix("driftrec/"),
            "drift": f"{strength:g}",
            "static-interest": f"{ours['static']:.3f}",
            "best bandit": f"{bandit['score']:.3f} ({bandit['agent']})",
            str(ours["agent"]): f"{ours['score']:.3f}",
        }
        row |= {
            bound: f"{level[env, strength, bound]:.3f}"
            for bound in ("bayes-filter", "oracle")
            if (env, strength, bound) in level.index
        }
        row |= {"bandit's advantage": shown(bandit), "flagship's": shown(ours)}
        rows.append(row | {"way to the filter": shown_way(ours)})
    return pd.DataFrame(rows).fillna("-")


def _setting(results: SweepResults) -> list[tuple[str, str]]:
    """What was run: what all cells have in common, and what each has of its own."""
    cells = results.cells
    common = dict(describe_setting(cells[0].results))
    own = ("environment", "catalogue", "tuned on validation users", "wall time")
    minutes = f"{results.wall_seconds / 60:.1f} minutes on {cells[0].results.hardware}"
    lines = [(name, text) for name, text in common.items() if name not in own]
    lines.append(("wall time", minutes))
    if results.unfinished:
        lines.append(("not finished, left out", ", ".join(results.unfinished)))
    for cell in cells:
        told = dict(describe_setting(cell.results))
        lines.append((f"{cell.env}, drift {cell.strength:g}", "; ".join(told[n] for n in own[:3])))
    return lines
