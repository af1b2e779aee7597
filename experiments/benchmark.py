"""A preset as a grid of jobs: tune the baselines, train the learners, evaluate all of them.

Three ranges of users never meet: training users, validation users (on whom configurations and
checkpoints are chosen) and test users, whom only the final evaluations see.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from .engines import Engine, local
from .evaluate import evaluate
from .files import check_writable, write_json
from .grid import Job, Runner, claim, read_result, run_jobs
from .presets import Baseline, Learner, Preset
from .runs import METRICS, git_commit, hardware, load_agent, versions
from .seeds import test_users, validation_users
from .train import TrainConfig, train
from .tune import validation_score
from .worlds import describe, make_batch

JOBS = "runs"  # below the benchmark's folder: what the jobs leave; the report is beside it


def run_benchmark(
    preset: Preset,
    out: Path,
    *,
    workers: int = 2,
    progress: bool | None = False,
    engine: Engine = local,
) -> int:
    """Do what is left of a benchmark in ``out``.

    Args:
        preset: what to run.
        out: the benchmark's folder, new or of an interrupted benchmark with the same settings.
        workers: processes; 0 does the jobs in this one.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.
        engine: where the workers are.

    Returns:
        How many jobs were done now; 0 where everything was there.

    Raises:
        UserError: where ``out`` cannot be written, holds other settings, or a job fails.
    """
    check_writable(out)
    folder = out / JOBS
    claim_folder(preset, folder)
    return do_jobs(jobs_of(preset), run, folder, workers, progress, engine)


def do_jobs(
    jobs: Sequence[Job],
    work: Runner,
    folder: Path,
    workers: int,
    progress: bool | None,
    engine: Engine,
) -> int:
    """Do what is left of the jobs in ``folder``, and add to its wall time; how many were done."""
    with timed(folder) as stamp:
        return run_jobs(
            jobs,
            work,
            folder,
            workers=workers,
            progress=progress,
            share=share_done,
            engine=engine,
            on_done=stamp,
        )


def claim_folder(preset: Preset, folder: Path) -> None:
    """Take ``folder`` for the jobs of a preset, or continue those that are there.

    Raises:
        UserError: where it holds other settings.
    """
    env = make_batch(preset.env, 1, preset.env_options)
    settings = preset.settings() | {"world": describe(preset.env, env)}
    env.close()
    record = {"versions": versions(), "git_commit": git_commit(), "hardware": hardware()}
    claim(folder, settings, record)


@contextmanager
def timed(folder: Path) -> Iterator[Callable[[], None]]:
    """Add the wall time of the block to that of ``folder``.

    What the block calls now and then writes the time so far, in case that the process is killed.
    """
    before, started = wall_seconds(folder), time.perf_counter()

    def stamp() -> None:
        seconds = before + time.perf_counter() - started
        write_json(folder / "wall.json", {"seconds": seconds})

    try:
        yield stamp
    finally:
        stamp()


def wall_seconds(folder: Path) -> float:
    """Wall time of a benchmark so far, interruptions not counted."""
    path = folder / "wall.json"
    return float(read_result("wall", folder)["seconds"]) if path.is_file() else 0.0


def jobs_of(preset: Preset) -> list[Job]:
    """All jobs of a preset, those that others need first."""
    jobs = [_tune_job(preset, b) for b in preset.baselines if len(b.grid) > 1]
    for learner in preset.learners:
        jobs += [_train_job(preset, learner, seed) for seed in preset.training_seeds]
    jobs += [
        _baseline_job(preset, baseline, reference_name(baseline), on_validation=True)
        for baseline in preset.baselines
        if baseline.agent in preset.references
    ]
    for block in range(preset.blocks):
        for baseline in preset.baselines:
            name = evaluation_names(preset, baseline)[0][block]
            jobs.append(_baseline_job(preset, baseline, name, block))
        for learner in preset.learners:
            jobs += [_learner_job(preset, learner, s, block) for s in preset.training_seeds]
    return jobs


def tune_name(baseline: Baseline) -> str:
    """Name of the job that chooses a baseline's configuration."""
    return f"tune/{baseline.agent}"


def reference_name(baseline: Baseline) -> str:
    """Name of the job that scores a baseline on the validation users."""
    return f"reference/{baseline.agent}"


def train_name(learner: Learner, seed: int) -> str:
    """Name of the job that trains a learner."""
    return f"train/{learner.name}-seed{seed}"


def evaluation_names(preset: Preset, entry: Baseline | Learner) -> list[list[str]]:
    """Names of the evaluations of one agent: a row per training seed, one per block of users."""
    blocks = range(preset.blocks)
    if isinstance(entry, Baseline):
        return [[f"evaluate/{entry.agent}-users{block}" for block in blocks]]
    return [
        [f"evaluate/{entry.name}-seed{seed}-users{block}" for block in blocks]
        for seed in preset.training_seeds
    ]


def _world(preset: Preset) -> dict[str, Any]:
    return {"env": preset.env, "env_options": dict(preset.env_options)}


def _tune_job(preset: Preset, baseline: Baseline) -> Job:
    spec = _world(preset) | {
        "agent": baseline.agent,
        "grid": [dict(config) for config in baseline.grid],
        "users": preset.validation_users,
        "seed": validation_users(),
    }
    share = preset.validation_users / preset.users
    return Job(
        tune_name(baseline), "tune", spec, seconds=baseline.seconds * len(baseline.grid) * share
    )


def _train_job(preset: Preset, learner: Learner, seed: int) -> Job:
    config = TrainConfig(
        out="",
        env=preset.env,
        agent=learner.agent,
        algo=learner.algo,
        steps=learner.steps,
        seed=seed,
        num_envs=preset.num_envs,
        env_options=dict(preset.env_options),
        learner_options=dict(learner.options),
        validations=preset.validations,
        validation_users=preset.validation_users,
    )
    first = preset.learners[0]  # whose practice the others find, and would else do once more
    alike = learner is not first and learner.options == first.options
    needs = (train_name(first, seed),) if alike else ()
    return Job(train_name(learner, seed), "train", asdict(config), needs, learner.seconds)


def _baseline_job(
    preset: Preset, baseline: Baseline, name: str, block: int = 0, on_validation: bool = False
) -> Job:
    spec = _evaluation_spec(preset, baseline, block) | {"config": dict(baseline.grid[0])}
    seconds = baseline.seconds
    if on_validation:
        spec |= {"users": preset.validation_users, "seed": validation_users(), "oracle": False}
        seconds *= preset.validation_users / preset.users
    needs = (tune_name(baseline),) if len(baseline.grid) > 1 else ()
    return Job(name, "evaluate", spec, needs=needs, seconds=seconds)


def _learner_job(preset: Preset, learner: Learner, seed: int, block: int) -> Job:
    trained = train_name(learner, seed)
    row = preset.training_seeds.index(seed)
    return Job(
        evaluation_names(preset, learner)[row][block],
        "evaluate",
        _evaluation_spec(preset, learner, block) | {"model": trained},
        needs=(trained,),
        seconds=10,
    )


def _evaluation_spec(preset: Preset, entry: Baseline | Learner, block: int) -> dict[str, Any]:
    return _world(preset) | {
        "agent": entry.agent,
        "label": entry.label,
        "oracle": True,
        "users": preset.users,
        "seed": test_users(block),
    }


def run(job: Job, folder: Path) -> Mapping[str, Any]:
    """Do one job of a benchmark, in whatever process."""
    return {"tune": _tune, "train": _train, "evaluate": _evaluate}[job.kind](job, folder)


def _tune(job: Job, folder: Path) -> Mapping[str, Any]:
    """Score every configuration on the validation users; the best score wins, ties to the first."""
    spec = job.spec
    scores = []
    for config in spec["grid"]:
        world = spec["env"], spec["env_options"], spec["users"], spec["seed"]
        scores.append(validation_score(spec["agent"], config, *world))
    best = max(range(len(scores)), key=scores.__getitem__)
    return {"best": spec["grid"][best], "grid": spec["grid"], "scores": scores}


def _train(job: Job, folder: Path) -> Mapping[str, Any]:
    out = folder / job.name
    shutil.rmtree(out, ignore_errors=True)  # half a run, from before an interruption
    result = train(TrainConfig(**(dict(job.spec) | {"out": str(out)})))
    if result.interrupted:
        raise KeyboardInterrupt
    return {"score": result.score, "best_step": result.best_step, "seconds": result.seconds}


def _evaluate(job: Job, folder: Path) -> Mapping[str, Any]:
    spec = job.spec
    if "model" in spec:
        agent: Any = partial(load_agent, folder / spec["model"], env_id=spec["env"])
    else:
        config = read_result(job.needs[0], folder)["best"] if job.needs else spec["config"]
        agent = _maker(spec["agent"], config)
    result = evaluate(
        agent,
        spec["env"],
        spec["users"],
        spec["seed"],
        spec["env_options"],
        name=spec["label"],
        oracle=spec["oracle"],
    )
    result.save(folder / f"{job.name}.npz")
    return {"score": float(result.score.mean()), "seconds": result.seconds}


def _maker(name: str, config: Mapping[str, Any]) -> Any:
    from driftrec import agents

    return partial(agents.make, name, **config)


def share_done(job: Job, folder: Path) -> float:
    """How much of a running training is done, from its last line of ``metrics.csv``."""
    path = folder / job.name / METRICS
    if job.kind != "train" or not path.is_file():
        return 0.0
    last = path.read_text().splitlines()[-1].split(",")[0]
    return min(1.0, int(last) / job.spec["steps"]) if last.isdigit() else 0.0
