"""A benchmark swept over environments and strengths of drift: one grid of jobs for all of them.

A cell is the benchmark of one environment at one strength, in a folder of its own that is like that
of any benchmark: ``driftrec plot`` draws it, and it is done or continued by itself. So a sweep can
be interrupted anywhere, restricted, or extended later in the same folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .benchmark import JOBS, claim_folder, do_jobs, jobs_of
from .benchmark import run as run_in_cell
from .engines import Engine, local
from .errors import UserError
from .files import check_writable
from .grid import Job
from .presets import (
    BASELINES,
    BRIEFLY,
    PRETRAINED,
    Baseline,
    Learner,
    Options,
    Preset,
    declared,
    flagship,
)
from .worlds import check_env_id

CELLS = "cells"  # below the sweep's folder
STRENGTH = "drift_strength"


@dataclass(frozen=True)
class Cell:
    """One environment at one strength of drift: a benchmark of its own."""

    preset: Preset

    @property
    def env(self) -> str:
        """The environment's id."""
        return self.preset.env

    @property
    def strength(self) -> float:
        """0: the world stands still, 1: as the environment's preset has it."""
        return float(self.preset.env_options[STRENGTH])

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.env.rpartition('/')[2]}-drift{self.strength:g}"

    def jobs(self) -> list[Job]:
        """Its jobs, with names from the folder of all cells on."""
        root = f"{self.name}/{JOBS}"
        return [
            replace(
                job, name=f"{root}/{job.name}", needs=tuple(f"{root}/{need}" for need in job.needs)
            )
            for job in jobs_of(self.preset)
        ]


@dataclass(frozen=True)
class Sweep:
    """A preset over environments and strengths of drift; all cells meet the same user seeds.

    Attributes:
        base: what each cell runs; its own environment counts for nothing.
        envs: environment ids.
        strengths: multiples of the environments' own drift; 0 stands still.

    Raises:
        UserError: for none or repeated environments or strengths, or a negative strength.
    """

    base: Preset
    envs: tuple[str, ...]
    strengths: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("envs", "strengths"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise UserError(f"{name} must be given, each once, got {list(values)}")
        if not min(self.strengths) >= 0:
            raise UserError(f"strengths must be >= 0, got {list(self.strengths)}")

    def restricted(self, envs: Sequence[str] = (), strengths: Sequence[float] = ()) -> Sweep:
        """With these environments or strengths in place of its own, where any are given."""
        chosen = tuple(check_env_id(env) for env in envs)
        return replace(
            self, envs=chosen or self.envs, strengths=tuple(sorted(strengths)) or self.strengths
        )

    def with_options(self, options: Options) -> Sweep:
        """With these options of the environments, in all cells.

        Raises:
            UserError: for a strength of drift, of which a sweep has several.
        """
        if STRENGTH in options:
            raise UserError(f"{STRENGTH} must be given to a sweep by --strength, not as an option")
        base = replace(self.base, env_options={**self.base.env_options, **options})
        return replace(self, base=base)

    def cells(self) -> list[Cell]:
        """Every environment at every strength."""
        return [
            Cell(
                replace(
                    self.base, env=env, env_options={**self.base.env_options, STRENGTH: strength}
                )
            )
            for env in self.envs
            for strength in self.strengths
        ]


# Training is two fifths of the work, the Bayes filter another; random and popular slates say
# nothing about drift.
FULL = Sweep(
    base=Preset(
        name="full",
        description="flagship, bandits and bounds over four domains and three drifts; two hours",
        learners=flagship(BRIEFLY, PRETRAINED)[:1],
        baselines=(
            *(baseline for baseline in BASELINES if len(baseline.grid) > 1),
            Baseline("bayes-filter", seconds=60),
            Baseline("oracle", seconds=8),
        ),
        training_seeds=(1, 2),
        validations=4,
        validation_users=128,
        users=300,
        references=("static-interest", "moving-average", "discounted-linucb"),
    ),
    envs=tuple(f"driftrec/{name}-v0" for name in ("Ecommerce", "Music", "News", "Video")),
    strengths=(0.0, 1.0, 2.0),
)

# What the flagship is held against: every learned rival with its pretraining and its budget, every
# tuned bandit, the filter. Several seeds, so that it is not one training that wins. They share the
# flagship's practice, which is kept.
RIVALS = Sweep(
    base=replace(
        FULL.base,
        name="rivals",
        description="the flagship against every rival, five seeds, at the domains' own drift",
        learners=tuple(
            Learner(agent, algo, BRIEFLY, PRETRAINED, seconds=60)
            for agent, algo in (
                ("interest-attention", "ppo"),
                ("interest-attention", "reinforce"),
                ("interest-attention", "slateq"),
                ("attention", "ppo"),
                ("static-attention", "ppo"),
                ("gru", "ppo"),
                ("mlp", "ppo"),
            )
        ),
        baselines=(
            *FULL.base.baselines,
            Baseline("sliding-linucb", declared("sliding-linucb"), seconds=30),
            Baseline("discounted-thompson", declared("discounted-thompson"), seconds=8),
        ),
        training_seeds=(1, 2, 3, 4, 5),
        validations=3,
    ),
    envs=FULL.envs[::-1],
    strengths=(1.0,),
)
SWEEPS: dict[str, Sweep] = {sweep.base.name: sweep for sweep in (FULL, RIVALS)}


def run_sweep(
    sweep: Sweep,
    out: Path,
    *,
    workers: int = 2,
    progress: bool | None = False,
    engine: Engine = local,
) -> int:
    """Do what is left of a sweep in ``out``.

    Args:
        sweep: what to run.
        out: the sweep's folder, new or with cells of the same settings.
        workers: jobs at once; 0 does them in this process.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.
        engine: where the workers are.

    Returns:
        How many jobs were done now.

    Raises:
        UserError: where ``out`` cannot be written, a cell there has other settings, or a job fails.
    """
    check_writable(out)
    folder, cells = out / CELLS, sweep.cells()
    for cell in cells:
        claim_folder(cell.preset, folder / cell.name / JOBS)
    jobs = [job for cell in cells for job in cell.jobs()]
    return do_jobs(jobs, run, folder, workers, progress, engine)


def run(job: Job, folder: Path) -> Mapping[str, Any]:
    """Do one job of a cell, in whatever process."""
    cell, jobs, name = job.name.split("/", 2)
    skip = len(cell) + len(jobs) + 2
    inner = replace(job, name=name, needs=tuple(need[skip:] for need in job.needs))
    return run_in_cell(inner, folder / cell / jobs)
