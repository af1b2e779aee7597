"""A benchmark's report: findings computed from the results, one table, four figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .figures import KIND_COLORS, reward_curves, save
from .figures import recovery as draw_recovery
from .figures import scores as draw_scores
from .files import write_text
from .interest_figures import slates as draw_slates
from .page import Page
from .pretraining import PRETRAINING, describe_stages, stages
from .recovery import AFTER
from .results import (
    AgentResults,
    BenchmarkResults,
    preset_of,
    recovery_table,
    reference_levels,
    run_folders,
    score_table,
    training_curves,
)
from .statistics import Interval, bootstrap_difference, probability_of_improvement

OPPONENTS = ("static-interest", "discounted-linucb")
IN_RECOVERY = ("static-interest", "moving-average", "discounted-linucb")

CAPTIONS = {
    "reward_curves": "Reward on the validation users against user-steps of training: mean over the "
    "training seeds, band from the lowest to the highest seed. Dashed: agents that need no "
    "training, on the same users.",
    "scores": "Interquartile mean over test users and training seeds with its 95 % interval.",
    "recovery": "Expected reward of the slates shown, as a share of the best possible, around an "
    "abrupt shift of interest (95 % band over shifts), of all users: those who would have left are "
    "kept, or the worst agents would be measured on the few whom they serve well.",
    "slates": "What was shown: the share of the catalogue that any user of an evaluation met, the "
    "mean topic distance (1 - cosine) between two items of a slate, and the entropy of the topics "
    "that a user was shown in a session, 1 where all came alike. None is good or bad in itself.",
}
NOTES = (
    "score: interquartile mean of return / horizon over test users and training seeds, with its "
    "stratified bootstrap 95 % interval; a user who leaves earns nothing afterwards.",
    "normalized: 0 is static-interest, 1 is the oracle, who sees the hidden interest.",
    "before and after a shift: share of the best possible reward that the slates of the ten steps "
    "before and after an abrupt shift of interest are worth. recovery: steps until 90 % of the "
    "former is regained for three steps; an agent that never followed the interest loses little "
    "and regains it soon, so read it beside the shares.",
    "coverage: share of the catalogue shown to anyone. diversity: mean topic distance within a "
    "slate.",
)
_HEADINGS = {
    "agent": "agent",
    "training_seeds": "seeds",
    "score": "score",
    "interval": "95 % interval",
    "normalized": "normalized",
    "before_shift": "before a shift",
    "after_shift": "after",
    "recovery_steps": "recovery, steps",
    "steps_stayed": "steps stayed",
    "coverage": "coverage",
    "diversity": "diversity",
}


@dataclass(frozen=True)
class Report:
    """What :func:`write_report` wrote.

    Attributes:
        folder: where the report lies.
        table: the score table as text, for the terminal.
        scores: the score table as plain values, one mapping an agent.
        findings: the sentences on the learned agents.
    """

    folder: Path
    scores: list[dict[str, Any]] = field(repr=False)
    table: str = field(repr=False)
    findings: tuple[str, ...] = field(repr=False)


def write_report(results: BenchmarkResults) -> Report:
    """Write scores.csv, the figures, report.md and report.html beside the benchmark's jobs."""
    folder = results.folder
    table = score_table(results)
    write_text(folder / "scores.csv", table.to_csv(index=False, lineterminator="\n"))
    captions = {path.stem: CAPTIONS[path.stem] for path in write_figures(results, table, folder)}
    shown, found = shown_table(table), tuple(findings(results))
    title = f"driftrec benchmark: {results.settings['name']} on {results.settings['env']}"
    setting = describe_setting(results)
    Page(title, found, shown, NOTES, captions, setting, beside(results)).write(folder)
    scores = json.loads(table.to_json(orient="records"))  # NaN and infinity become null
    return Report(folder, scores, shown.to_string(index=False, justify="right"), found)


def write_figures(results: BenchmarkResults, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw the figures of a benchmark into ``folder``; recovery where interest ever jumped.

    Of more learned agents than there are colours, recovery shows the first alone.
    """
    env = results.settings["env"].removeprefix("driftrec/")
    curves, around = training_curves(run_folders(results)), recovery_table(results)
    learned = set(table.loc[table["kind"] == "learned", "agent"])
    if len(learned) > len(KIND_COLORS["learned"]):
        learned = {preset_of(results.settings).learners[0].label}
    around = around[around["agent"].isin(learned | set(IN_RECOVERY))]
    users = results.settings["users"] * results.settings["blocks"]
    drawn = {
        "reward_curves": reward_curves(curves, reference_levels(results), f"{env}: training"),
        "scores": draw_scores(table, f"{env}: {users:,} test users"),
    }
    if around["share"].notna().any():
        drawn["recovery"] = draw_recovery(around, f"{env}: around an abrupt shift")
    drawn["slates"] = draw_slates(table, f"{env}: slates shown to {users:,} test users")
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in drawn]


def findings(results: BenchmarkResults) -> list[str]:
    """Where the flagship stands, whichever way it falls, and any other learned agent beside it.

    One sentence for each algorithm of the flagship and each opponent: those that need no training,
    and the other networks. A variant of the flagship meets the networks that were varied alike.
    """
    learners = preset_of(results.settings).learners
    ours = [x for x in learners if x.agent == learners[0].agent]
    rivals = [x for x in learners if x.agent != learners[0].agent]
    varied = {x.variant for x in ours}
    sentences = []
    for mine in ours:
        names = [] if mine.variant else [*OPPONENTS]
        for rival in rivals:  # one that none of ours was varied like meets the flagship itself
            if mine.variant == (rival.variant if rival.variant in varied else ""):
                names.append(rival.label)
        met = [entry for entry in map(results.by_name, names) if entry is not None]
        entry = results.by_name(mine.label)
        sentences += [compare(entry, theirs) for theirs in met if entry is not None]
    return sentences


def beside(results: BenchmarkResults) -> dict[str, pd.DataFrame]:
    """How far every agent is from the first that was trained, on the same users; by its heading.

    What an ablation takes away is worth what its row says.
    """
    learners = preset_of(results.settings).learners
    first = results.by_name(learners[0].label) if learners else None
    if first is None:
        return {}
    level, rows = first.interval().estimate, []
    for entry in results.agents:
        if entry is first:
            continue
        behind = bootstrap_difference(first.scores, entry.scores, strata=first.strata)
        gap, low, high = (0.0 - end for end in (behind.estimate, behind.high, behind.low))
        ahead = probability_of_improvement(entry.scores, first.scores, strata=first.strata)
        row = {
            "agent": entry.label,
            "difference": f"{gap:+.3f}",
            "paired 95 % interval": f"[{low:+.3f}, {high:+.3f}]",
            "of its score": f"{gap / level:+.1%}" if level else "-",
            "ahead on a user": f"{ahead.estimate:.2f} [{ahead.low:.2f}, {ahead.high:.2f}]",
        }
        rows.append((gap, row))
    if not rows:
        return {}
    rows.sort(key=lambda pair: pair[0], reverse=True)
    return {f"Beside {first.label}, user by user": pd.DataFrame([row for _, row in rows])}


def compare(ours: AgentResults, theirs: AgentResults) -> str:
    """Say where ``ours`` stands against ``theirs``, with the paired interval."""
    gap = bootstrap_difference(ours.scores, theirs.scores, strata=ours.strata)
    better = probability_of_improvement(ours.scores, theirs.scores, strata=ours.strata)
    verdict = {1: "is above", -1: "is below", 0: "is not told apart from"}[sign(gap)]
    level = theirs.interval().estimate
    relative = f", {gap.estimate / level:+.1%}" if level else ""
    return (
        f"{ours.label} {verdict} {theirs.label}: difference {gap.estimate:+.4f}{relative}, "
        f"paired 95 % interval [{gap.low:+.4f}, {gap.high:+.4f}]; "
        f"ahead on a user with probability {better.estimate:.2f} "
        f"[{better.low:.2f}, {better.high:.2f}]."
    )


def sign(interval: Interval) -> int:
    """1 or -1 where the whole interval lies on one side of zero, else 0."""
    return int(interval.low > 0) - int(interval.high < 0)


def shown_table(table: pd.DataFrame) -> pd.DataFrame:
    """The score table as strings, with the columns that a reader wants."""
    shown = pd.DataFrame(index=table.index)
    for name, heading in _HEADINGS.items():
        shown[heading] = _shown_column(table, name)
    return shown


def _shown_column(table: pd.DataFrame, name: str) -> list[str]:
    if name == "interval":
        return [f"{a:.3f} to {b:.3f}" for a, b in zip(table["low"], table["high"], strict=True)]
    if name == "training_seeds":
        return [
            str(n) if kind == "learned" else "-"
            for n, kind in zip(table[name], table["kind"], strict=True)
        ]
    if name == "recovery_steps":
        return [_steps(value) for value in table[name]]
    digits = {"score": 3, "steps_stayed": 1}.get(name, 2)
    return [str(v) if isinstance(v, str) else _number(v, digits) for v in table[name]]


def _steps(value: float) -> str:
    return "-" if np.isnan(value) else f"> {AFTER - 3}" if np.isinf(value) else f"{value:.0f}"


def _number(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def describe_setting(results: BenchmarkResults) -> list[tuple[str, str]]:
    """Environment, users, seeds, budget and versions, as pairs of a name and a text."""
    s = results.settings
    world, learners = s["world"], s["learners"]
    given = {name: _shown(value) for name, value in s["env_options"].items()}
    options = ", ".join(f"{k}={v}" for k, v in given.items()) or "defaults"
    budgets = "; ".join(_budget(x) for x in learners)
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    return [
        ("environment", f"{s['env']} ({options}), slates of {world['slate_size']}, "
         f"horizon {world['horizon']}, history {world['history']}"),
        ("catalogue", f"{world['catalog']}: {world['num_items']:,} items "
         f"(fingerprint {world['catalog_hash']})"),
        ("test users", f"{s['users'] * s['blocks']:,}, the same for all agents, never met in "
         "training, tuning or choosing checkpoints"),
        ("validation users", f"{s['validation_users']:,}"),
        ("training seeds", ", ".join(map(str, s["training_seeds"]))),
        ("training user-steps", budgets or "none"),
        ("tuned on validation users", tuned_text(results)),
        ("wall time", f"{results.wall_seconds / 60:.1f} minutes on {results.hardware}"),
        ("versions", versions),
        ("commit", results.git_commit or "unknown"),
    ]  # fmt: skip


def _shown(value: Any) -> Any:
    """An option's value; of a folder its name alone, as where it lies is nobody else's."""
    lies = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if lies else value


def _budget(learner: Mapping[str, Any]) -> str:
    """Steps of a learner, and what its pretraining was told."""
    text = f"{learner['agent']} by {learner['algo']}: {learner['steps']:,}"
    told = describe_stages(stages({"learner_options": learner["options"], **learner}))
    given = {k: v for k, v in learner["options"].items() if k not in PRETRAINING}
    return f"{text}, pretraining: {told}" + (f", with {given}" if given else "")


def tuned_text(results: BenchmarkResults) -> str:
    """Which configurations the baselines were given."""
    parts = [f"{name} {config}" for name, config in results.tuned.items()]
    return "; ".join(parts) or "none"
