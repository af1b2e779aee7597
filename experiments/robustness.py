"""Robustness: agents that meet another drift than they were trained on, or spoiled feedback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from .errors import UserError
from .grid import Job, claim, run_jobs
from .runs import CONFIG, git_commit, hardware, versions
from .seeds import test_users
from .worlds import DEFAULT_ENV, FEEDBACK

REGIMES: dict[str, dict[str, Any]] = {
    "none": {"drift": "none"},
    "gradual": {"drift": "gradual"},
    "abrupt": {"drift": "abrupt"},
    "preset": {},
    "twice": {"drift_strength": 2.0},
}
"""Which drift there is, as options of the environment."""

HOME = "preset"  # the regime in which feedback is spoiled
SPOILED = ("true", *(f"{kind}:{share}" for kind in ("lost", "random", "inverted")
                     for share in (0.1, 0.3)))  # fmt: skip
"""What agents are told wrongly while they serve, a share of all events."""

BOTS = ("true", "bots-random:0.3", "bots-inverted:0.3")
"""Whom agents are trained on, a share of the users; they serve users of whom none is a bot."""

BASELINES = ("static-interest", "discounted-linucb")


@dataclass(frozen=True)
class RobustnessConfig:
    """What is trained and on whom it is evaluated.

    Attributes:
        env: environment id.
        agent: the learned agent.
        algo: that trains it.
        steps: user-steps of a training, three quarters of which pretrain.
        num_envs: users served at once in training.
        users: test users, the same for all.
        seed: of the trainings.
        env_options: of the environment, beside those of the regimes.
        bots: whether agents are trained among bots too.
    """

    env: str = DEFAULT_ENV
    agent: str = "interest-attention"
    algo: str = "ppo"
    steps: int = 38_400
    num_envs: int = 64
    users: int = 300
    seed: int = 1
    env_options: Mapping[str, Any] = field(default_factory=dict)
    bots: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs", "users"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")


def trainings(config: RobustnessConfig) -> Iterator[Job]:
    """One for each regime; and by feedback alone, one for each share of bots.

    With bots nobody's true utilities and no log of honest users are read, as either would tell what
    the bots hide.
    """
    told: dict[str, Any] = {
        "practice_steps": 4 * config.steps,  # by which the interest learns, from bots too
        "pretrain_steps": config.steps * 3 // 4,
        "privileged": True,
    }
    fed = {**told, "privileged": False, "log_passes": 0}
    for name, options in REGIMES.items():
        yield _training(config, f"drift-{name}", options, told)
    for feedback in BOTS if config.bots else ():
        yield _training(config, f"fed-{feedback}", {**REGIMES[HOME], FEEDBACK: feedback}, fed)


def _training(
    config: RobustnessConfig, name: str, world: Mapping[str, Any], options: Mapping[str, Any]
) -> Job:
    train = {
        "env": config.env,
        "agent": config.agent,
        "algo": config.algo,
        "steps": config.steps,
        "num_envs": config.num_envs,
        "seed": config.seed,
        "env_options": {**config.env_options, **world},
        "learner_options": dict(options),
        "validations": 1,
        "validation_users": 64,
    }
    return Job(f"train/{name}", "train", train, seconds=60)


def evaluations(config: RobustnessConfig) -> Iterator[Job]:
    """Every agent in every regime, under every kind of feedback, and after every share of bots."""
    for regime, options in REGIMES.items():
        for agent in BASELINES:
            yield _evaluation(config, f"drift/{agent}/{regime}", agent, options)
        for other in REGIMES:
            yield _evaluation(config, f"drift/{other}/{regime}", f"train/drift-{other}", options)
    for feedback in SPOILED:
        options = {**REGIMES[HOME], FEEDBACK: feedback}
        for agent in (f"train/drift-{HOME}", *BASELINES):
            name = config.agent if agent.startswith("train/") else agent
            yield _evaluation(config, f"feedback/{name}/{feedback}", agent, options)
    for feedback in BOTS if config.bots else ():
        trained = f"train/fed-{feedback}"
        yield _evaluation(config, f"bots/{config.agent}/{feedback}", trained, REGIMES[HOME])


def _evaluation(config: RobustnessConfig, name: str, agent: str, world: Mapping[str, Any]) -> Job:
    options = {**config.env_options, **world}
    spec = {"agent": agent, "env": config.env, "users": config.users, "env_options": options}
    needs = (agent,) if agent.startswith("train/") else ()
    return Job(name, "evaluate", spec, needs, seconds=8)


def run(job: Job, folder: Path) -> Mapping[str, Any]:
    """Does one job: a training, or an evaluation on the test users."""
    spec = dict(job.spec)
    if job.kind == "train":
        return _train(spec, folder / job.name)
    from .evaluate import evaluate
    from .runs import load_agent

    agent: Any = spec["agent"]
    if agent.startswith("train/"):
        agent = partial(load_agent, folder / agent, env_id=spec["env"])
    result = evaluate(agent, spec["env"], spec["users"], test_users(), spec["env_options"])
    return {"scores": result.score.round(6).tolist(), "stayed": float(result.length.mean())}


def _train(spec: dict[str, Any], out: Path) -> Mapping[str, Any]:
    from .train import TrainConfig, train

    (out / CONFIG).unlink(missing_ok=True)  # of an attempt that was broken off
    result = train(TrainConfig(out=str(out), **spec))
    if result.interrupted:
        raise KeyboardInterrupt
    return {"steps": result.steps, "score": result.score, "best_step": result.best_step}


def robustness(
    config: RobustnessConfig, out: Path, *, workers: int = 2, progress: bool | None = False
) -> list[Job]:
    """Does what has no result yet, in ``out/runs``.

    Returns:
        The evaluations, whose results can be read there.

    Raises:
        UserError: where a job fails, or the folder holds results of other settings.
    """
    record = {"versions": versions(), "git_commit": git_commit(), "hardware": hardware()}
    settings = {**asdict(config), "regimes": REGIMES, "spoiled": SPOILED, "bots": BOTS}
    folder = out / "runs"
    claim(folder, settings, record)
    rated = [replace(job, name=f"scores/{job.name}") for job in evaluations(config)]
    run_jobs([*trainings(config), *rated], run, folder, workers=workers, progress=progress)
    return rated
