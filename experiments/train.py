"""Train one agent by one algorithm, with one seed, into one run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .files import write_json
from .runs import CONFIG, LAST, MODEL, create_run_folder, git_commit, versions
from .seeds import train_users, validation_users
from .worlds import DEFAULT_ENV, describe, make_batch

if TYPE_CHECKING:
    from .callbacks import Validation


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run; the same config gives the same model.

    Attributes:
        out: the run folder.
        env: environment id.
        agent: the policy's name.
        algo: "ppo" or "reinforce".
        steps: user-steps to train for.
        seed: of the network, the sampling and the users met.
        num_envs: users served at once.
        env_options: options of the environment.
        learner_options: options of the policy and the algorithm.
        validations: how often the agent is validated, the start and the end not counted.
        validation_users: users it is validated on, never met in training.
    """

    out: str
    env: str = DEFAULT_ENV
    agent: str = "interest-attention"
    algo: str = "ppo"
    steps: int = 300_000
    seed: int = 0
    num_envs: int = 64
    env_options: Mapping[str, Any] = field(default_factory=dict)
    learner_options: Mapping[str, Any] = field(default_factory=dict)
    validations: int = 20
    validation_users: int = 256

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs", "validations", "validation_users"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class TrainResult:
    """Where a run ended.

    Attributes:
        folder: the run folder.
        steps: user-steps done.
        score: best mean score on the validation users, the one of ``model.zip``.
        best_step: user-steps after which it was reached.
        seconds: wall time.
        interrupted: whether Ctrl-C ended it early.
    """

    folder: Path
    steps: int
    score: float
    best_step: int
    seconds: float
    interrupted: bool

    def plain(self) -> dict[str, Any]:
        """The result as values that JSON knows."""
        return asdict(self) | {"folder": str(self.folder)}


def train(config: TrainConfig, *, progress: bool | None = False) -> TrainResult:
    """Train, keep the best model on validation users, and write the run folder.

    Args:
        config: what to train.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.

    Returns:
        Where the run ended. After Ctrl-C it returns as well, with ``interrupted`` true: the best
        model so far is in ``model.zip`` and the newest in ``last.zip``.

    Raises:
        UserError: where the folder cannot be written or holds a run, before anything is trained.
        ValueError: for an option that the environment or the learner refuses.
    """
    folder = Path(config.out)
    create_run_folder(folder)
    started = time.perf_counter()
    model, validation, world = _build(config, folder, progress)
    record = {
        "train": asdict(config),
        "world": world,
        "versions": versions(),
        "git_commit": git_commit(),
    }
    write_json(folder / CONFIG, record | {"status": "running"})
    interrupted = False
    try:
        model.learn(config.steps, callback=validation)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        validation.close()
        model.get_env().close()
    result = TrainResult(
        folder=folder,
        steps=int(model.num_timesteps),
        score=validation.best_score,
        best_step=validation.best_step,
        seconds=time.perf_counter() - started,
        interrupted=interrupted,
    )
    status = "interrupted" if interrupted else "finished"
    write_json(folder / CONFIG, record | {"status": status, "result": result.plain()})
    return result


def _build(
    config: TrainConfig, folder: Path, progress: bool | None
) -> tuple[Any, Validation, dict[str, Any]]:
    """The algorithm, the callback that validates it, and the world's description."""
    import torch
    from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

    from driftrec.agents.learners import make_learner
    from driftrec.envs.sb3 import BatchVecEnv

    from .callbacks import Validation

    torch.set_num_threads(1)  # with two, sums are split by load and no run repeats
    env = make_batch(config.env, config.num_envs, config.env_options)
    users, world = BatchVecEnv(env), describe(config.env, env)
    options = dict(config.learner_options) | {"seed": config.seed, "tensorboard_log": None}
    try:
        learner = make_learner(config.agent, config.algo, users, **options)
    except TypeError as error:  # an argument that the algorithm does not have
        raise UserError(f"option refused by {config.algo}: {error}") from error
    # The learner seeds its environment with its own small seed, which other runs would share.
    users.seed(train_users(config.seed))
    learner.set_logger(Logger(str(folder), [TensorBoardOutputFormat(str(folder))]))
    validation = Validation(
        env=make_batch(config.env, config.validation_users, config.env_options),
        env_id=config.env,
        first_user=validation_users(),
        every=max(1, config.steps // config.validations),
        total=config.steps,
        folder=folder,
        progress=progress,
    )
    return learner, validation, world


def describe_result(result: TrainResult) -> str:
    """A few lines for the terminal: what was reached and where it lies."""
    head = "interrupted" if result.interrupted else "finished"
    lines = [
        f"{head} after {result.steps:,} user-steps and {result.seconds:.0f} s",
        f"validation reward per user-step: {result.score:.4f}, after {result.best_step:,} steps",
        f"best model:   {result.folder / MODEL}",
    ]
    if result.interrupted:
        lines.append(f"last checkpoint: {result.folder / LAST}")
    return "\n".join(lines)
