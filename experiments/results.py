"""The results of a benchmark as tables: one row an agent, one row a point of a curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .benchmark import (
    JOBS,
    evaluation_names,
    jobs_of,
    reference_name,
    train_name,
    tune_name,
    wall_seconds,
)
from .errors import UserError
from .evaluate import EvaluationResult
from .files import read_json
from .grid import SETTINGS, read_result
from .presets import KINDS, Baseline, Learner, Preset, label
from .recovery import Recovery, recovery
from .runs import CONFIG, METRICS, read_run
from .statistics import Interval, bootstrap, interquartile_mean


@dataclass(frozen=True)
class AgentResults:
    """Everything measured of one agent.

    Attributes:
        label: name in tables and figures.
        agent: the agent's own name.
        kind: "static", "adaptive", "learned" or "bound".
        sessions: S rows, an evaluation per block of users in each; S is 1 for an agent that is not
            trained.
    """

    label: str
    agent: str
    kind: str
    sessions: tuple[tuple[EvaluationResult, ...], ...] = field(repr=False)

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """[S, U] score of each training seed on each user."""
        return np.stack([np.concatenate([r.score for r in row]) for row in self.sessions])

    @property
    def strata(self) -> npt.NDArray[np.int64]:
        """[U] block of each user."""
        return np.repeat(np.arange(len(self.sessions[0])), [r.users for r in self.sessions[0]])

    @property
    def flat(self) -> list[EvaluationResult]:
        """All evaluations."""
        return [result for row in self.sessions for result in row]

    def interval(self) -> Interval:
        """Interquartile mean of the scores with its 95 % interval."""
        return bootstrap(self.scores, strata=self.strata)

    def recovery(self) -> Recovery:
        """Share of the best possible reward around abrupt shifts."""
        return recovery(self.flat)


@dataclass(frozen=True)
class BenchmarkResults:
    """A finished benchmark, read from its folder."""

    folder: Path
    settings: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None
    hardware: str
    wall_seconds: float
    tuned: dict[str, dict[str, Any]]
    agents: tuple[AgentResults, ...]

    def by_name(self, agent: str) -> AgentResults | None:
        """The first agent of that name or label, if it took part."""
        return next((a for a in self.agents if agent in (a.agent, a.label)), None)


def load_benchmark(out: Path) -> BenchmarkResults:
    """Read a finished benchmark.

    Raises:
        UserError: where the folder holds no benchmark, or an unfinished one.
    """
    folder = out / JOBS
    if not (folder / SETTINGS).is_file():
        raise UserError(f"{out} holds no benchmark")
    record = read_json(folder / SETTINGS)
    preset = preset_of(record["settings"])
    entries: list[Learner | Baseline] = [*preset.learners, *preset.baselines]
    jobs = jobs_of(preset)
    missing = sum(not job.done(folder) for job in jobs)
    if missing:
        raise UserError(
            f"the benchmark in {out} is unfinished ({missing} of {len(jobs)} jobs missing): "
            "run driftrec benchmark with the same options again"
        )
    return BenchmarkResults(
        folder=out,
        settings=record["settings"],
        versions=record["versions"],
        git_commit=_commits(record["git_commit"], folder),
        hardware=record["hardware"],
        wall_seconds=wall_seconds(folder),
        tuned={
            baseline.agent: read_result(tune_name(baseline), folder)["best"]
            if len(baseline.grid) > 1
            else dict(baseline.grid[0])
            for baseline in preset.baselines
            if baseline.grid != ({},)
        },
        agents=tuple(_agent_results(preset, entry, folder) for entry in entries),
    )


def _commits(begun: str | None, folder: Path) -> str | None:
    """The commit that a benchmark was begun at, and others that its trainings were done at."""
    configs = sorted((folder / "train").glob(f"*/{CONFIG}"))
    told = (read_json(path).get("git_commit") for path in configs)
    trained = {str(commit) for commit in told if commit not in (begun, None)}
    if begun is None or not trained:
        return begun
    return f"{begun}; trainings at {', '.join(sorted(trained))}"


def preset_of(settings: dict[str, Any]) -> Preset:
    """The preset that settings were made from."""
    plain = {k: v for k, v in settings.items() if k != "world"}
    plain["learners"] = tuple(Learner(**entry) for entry in plain["learners"])
    plain["baselines"] = tuple(
        Baseline(**(entry | {"grid": tuple(entry["grid"])})) for entry in plain["baselines"]
    )
    for name in ("training_seeds", "references"):
        plain[name] = tuple(plain[name])
    return Preset(**plain)


def _agent_results(preset: Preset, entry: Learner | Baseline, folder: Path) -> AgentResults:
    kind = "learned" if isinstance(entry, Learner) else KINDS.get(entry.agent, "adaptive")
    sessions = tuple(
        tuple(EvaluationResult.load(folder / f"{name}.npz") for name in row)
        for row in evaluation_names(preset, entry)
    )
    return AgentResults(entry.label, entry.agent, kind, sessions)


def score_table(results: BenchmarkResults) -> pd.DataFrame:
    """One row an agent, best first.

    Columns: agent, kind, training_seeds, score (interquartile mean), low, high, mean, normalized
    (0 = static-interest, 1 = oracle), recovery_steps, before_shift and after_shift (share of the
    best possible reward in the 10 steps before and after a shift), shifts, coverage, diversity,
    steps_stayed, topic_entropy (NaN where the evaluations did not keep it).
    """
    rows = []
    for agent in results.agents:
        interval, back = agent.interval(), agent.recovery()
        rows.append(
            {
                "agent": agent.label,
                "kind": agent.kind,
                "training_seeds": len(agent.sessions),
                "score": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "mean": agent.scores.mean(),
                "recovery_steps": back.steps,
                "before_shift": back.before,
                "after_shift": back.after(),
                "shifts": back.shifts,
                "coverage": np.mean([r.coverage for r in agent.flat]),
                "diversity": np.mean([r.diversity.mean() for r in agent.flat]),
                "steps_stayed": np.mean([r.length.mean() for r in agent.flat]),
                "topic_entropy": mean_entropy(agent.flat),
            }
        )
    table = pd.DataFrame(rows).sort_values("score", ascending=False, ignore_index=True)
    table.insert(7, "normalized", normalized(table))
    return table


def mean_entropy(results: Iterable[EvaluationResult]) -> float:
    """Mean over users of ``topic_entropy``; NaN where a result does not have it."""
    kept = [r.topic_entropy for r in results]
    return float(np.mean([np.nan if part is None else part.mean() for part in kept]))


def normalized(table: pd.DataFrame) -> pd.Series:
    """(score - static-interest) / (oracle - static-interest); NaN where one did not take part."""
    score = table.set_index("agent")["score"]
    low, high = score.get("static-interest", np.nan), score.get("oracle", np.nan)
    return ((table["score"] - low) / (high - low)).astype(float)


def recovery_table(results: BenchmarkResults) -> pd.DataFrame:
    """Columns agent, kind, offset, share, low, high, shifts: the curves around a shift."""
    frames = []
    for agent in results.agents:
        curve = agent.recovery()
        frames.append(
            pd.DataFrame(
                {
                    "agent": agent.label,
                    "kind": agent.kind,
                    "offset": curve.offset,
                    "share": curve.share,
                    "low": curve.low,
                    "high": curve.high,
                    "shifts": curve.shifts,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def run_labels(folders: Iterable[Path]) -> dict[Path, str]:
    """What to call the agent of each run folder: its label, and its folder where that is not all.

    Runs of one agent and one seed differ in something else, and are no two seeds of one thing.

    Raises:
        UserError: where a folder holds no run.
    """
    told = {folder: read_run(folder)["train"] for folder in folders}
    label_of = {folder: label(run["agent"], run["algo"]) for folder, run in told.items()}
    count = Counter((label_of[folder], run["seed"]) for folder, run in told.items())
    several = {name for (name, _), times in count.items() if times > 1}
    return {
        folder: f"{name}, {folder.resolve().name}" if name in several else name
        for folder, name in label_of.items()
    }


def training_curves(runs: Iterable[Path] | Mapping[Path, str]) -> pd.DataFrame:
    """Columns agent, seed, steps, reward: validation scores of run folders.

    Args:
        runs: the folders; with their labels, or they are called as ``run_labels`` says.

    Raises:
        UserError: where a folder holds no run or no metrics.
    """
    frames = []
    for folder, agent in (runs if isinstance(runs, Mapping) else run_labels(runs)).items():
        config = read_run(folder)
        if not (folder / METRICS).is_file():
            raise UserError(f"{folder} has no {METRICS}")
        metrics = pd.read_csv(folder / METRICS)
        frames.append(
            pd.DataFrame(
                {
                    "agent": agent,
                    "seed": config["train"]["seed"],
                    "steps": metrics["steps"],
                    "reward": metrics["validation_score"],
                }
            )
        )
    if not frames:
        raise UserError("no run folders given")
    return pd.concat(frames, ignore_index=True)


def reference_levels(results: BenchmarkResults) -> dict[str, float]:
    """Mean score on the validation users of agents that are not trained."""
    folder, preset = results.folder / JOBS, preset_of(results.settings)
    return {
        baseline.label: float(read_result(reference_name(baseline), folder)["score"])
        for baseline in preset.baselines
        if baseline.agent in preset.references
    }


def validation_levels(results: BenchmarkResults) -> dict[str, float]:
    """Interquartile mean over the validation users, of agents without training that met them.

    They did where a configuration was chosen, or for the reward curves.
    """
    folder, preset = results.folder / JOBS, preset_of(results.settings)
    levels = {}
    for baseline in preset.baselines:
        if len(baseline.grid) > 1:
            levels[baseline.label] = max(read_result(tune_name(baseline), folder)["scores"])
        elif baseline.agent in preset.references:
            found = EvaluationResult.load(folder / f"{reference_name(baseline)}.npz")
            levels[baseline.label] = float(interquartile_mean(found.score[None]))
    return levels


def run_folders(results: BenchmarkResults) -> dict[Path, str]:
    """The run folders below a benchmark, each with the label of its learner."""
    preset = preset_of(results.settings)
    labels = {
        train_name(learner, seed): learner.label
        for learner in preset.learners
        for seed in preset.training_seeds
    }
    return {results.folder / JOBS / name: labels[name] for name in sorted(labels)}
