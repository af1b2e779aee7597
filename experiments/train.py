"""Train one agent by one algorithm, with one seed, into one run folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .files import write_json
from .pretraining import (
    Stage,
    describe_stages,
    promised,
    read_log,
    stages,
    stages_of,
)
from .runs import (
    CONFIG,
    LAST,
    check_compatible,
    create_run_folder,
    git_commit,
    read_run,
    versions,
)
from .seeds import train_users, validation_users
from .weights import saved_learner, take_weights
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
        algo: "ppo", "reinforce" or "slateq".
        steps: user-steps to train for.
        seed: of the network, the sampling and the users met.
        num_envs: users served at once.
        env_options: options of the environment.
        learner_options: options of the policy and the algorithm.
        log: what to pretrain on in place of slates of its own, see ``pretraining.open_log``.
        start: the run whose best model the training starts from.
        validations: how often the agent is validated, the start and the end not counted.
        validation_users: users it is validated on, never met in training.
        early_stop: validations without a new best after which training ends; 0: it never does.
        track: trackers beside TensorBoard, names in ``tracking.TRACKERS``.
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
    log: str | None = None
    start: str | None = None
    validations: int = 20
    validation_users: int = 256
    early_stop: int = 0
    track: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs", "validations", "validation_users"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        private = self.learner_options.get("epsilon") is not None
        if self.log and self.learner_options.get("privileged") and not private:
            raise UserError("privileged must be off with a log: nobody's true utilities are in it")
        if self.early_stop < 0:
            raise UserError(f"early_stop must be at least 0, got {self.early_stop}")
        if self.track:
            from .tracking import check_trackers

            check_trackers(self.track)


@dataclass(frozen=True)
class TrainResult:
    """Where a run ended.

    Attributes:
        folder: the run folder.
        steps: user-steps done.
        score: best mean score on the validation users, the one of ``model.zip``.
        best_step: user-steps after which it was reached.
        seconds: wall time, what came before an interruption included.
        interrupted: whether Ctrl-C ended it early.
        stopped: whether it ended early, nothing better having come.
        pretraining: what it was pretrained on, see ``pretraining.describe_stages``.
        privacy: what the accountant says of it, see ``agents.privatefit.Guarantee``.
    """

    folder: Path
    steps: int
    score: float
    best_step: int
    seconds: float
    interrupted: bool
    stopped: bool = False
    pretraining: str = "none"
    privacy: dict[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """The result as values that JSON knows: it has no infinity, the best of no scores."""
        score = self.score if math.isfinite(self.score) else None
        return asdict(self) | {"folder": str(self.folder), "score": score}


def train(
    config: TrainConfig,
    *,
    progress: bool | None = False,
    on_score: Callable[[float], bool] | None = None,
) -> TrainResult:
    """Train, keep the best model on validation users, and write the run folder.

    Args:
        config: what to train.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.
        on_score: is told the score of each validation and says whether to go on.

    Returns:
        Where the run ended. After Ctrl-C it returns as well, with ``interrupted`` true: the best
        model so far is in ``model.zip`` and the newest in ``last.zip``.

    Raises:
        UserError: where the folder cannot be written or holds a run, before anything is trained.
        ValueError: for an option that the environment or the learner refuses.
    """
    folder = Path(config.out)
    create_run_folder(folder)
    learner, validation, world = _build(config, folder, progress)
    validation.on_score = on_score
    record = {
        "train": asdict(config),
        "pretraining": stages(asdict(config), _told_before(config)),
        "privacy": promised(learner, config.start),
        "world": world,
        "versions": versions(),
        "git_commit": git_commit(),
    }
    return _learn(learner, validation, config.steps, record)


def resume(folder: Path, *, progress: bool | None = False) -> TrainResult:
    """Go on with an interrupted run from its last checkpoint, with its own settings.

    Weights, optimizer, counts, random streams and the users' episodes are as they were: on the same
    machine and with the same versions the run ends bit for bit as if it had never been interrupted.

    Args:
        folder: the run folder.
        progress: as in :func:`train`.

    Raises:
        UserError: where the folder holds no run, a finished one, no checkpoint, or one of another
            release or world.
    """
    record = read_run(folder)
    if record.get("status") == "finished":
        raise UserError(f"the run in {folder} has finished: there is nothing to resume")
    if not (folder / LAST).is_file():
        raise UserError(f"{folder} has no {LAST}: the run ended before its first checkpoint")
    config = TrainConfig(**record["train"] | {"out": str(folder)})
    learner, validation, world = _build(config, folder, progress, folder / LAST)
    check_compatible(record, folder, world)
    resumed = {"steps": learner.num_timesteps, "versions": versions(), "git_commit": git_commit()}
    record["resumed"] = [*record.get("resumed", []), resumed]
    return _learn(learner, validation, config.steps, record)


def _learn(
    learner: Any, validation: Validation, steps: int, record: Mapping[str, Any]
) -> TrainResult:
    """Train to ``steps`` user-steps and write down how it ended."""
    from .tracking import open_trackers

    folder, status = validation.folder, "failed"
    trackers = open_trackers(record["train"].get("track", ()), folder, record)
    learner.logger.output_formats.extend(trackers)
    write_json(folder / CONFIG, {**record, "status": "running"})
    try:
        left = steps - learner.num_timesteps
        learner.learn(left, callback=validation, reset_num_timesteps=learner.checkpoint is None)
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
    finally:
        validation.close()
        learner.get_env().close()
        for tracker in trackers:
            tracker.finish(status)
        if status == "failed":
            write_json(folder / CONFIG, {**record, "status": status})
    result = TrainResult(
        folder=folder,
        steps=int(learner.num_timesteps),
        score=validation.best_score,
        best_step=validation.best_step,
        seconds=validation.seconds,
        interrupted=status == "interrupted",
        stopped=validation.stopped,
        pretraining=describe_stages(stages_of(record)),
        privacy=record.get("privacy"),
    )
    write_json(folder / CONFIG, {**record, "status": status, "result": result.plain()})
    return result


def _build(
    config: TrainConfig, folder: Path, progress: bool | None, saved: Path | None = None
) -> tuple[Any, Validation, dict[str, Any]]:
    """The algorithm, new or saved, the callback that validates it, and the world's description."""
    import torch
    from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

    from driftrec.envs.sb3 import BatchVecEnv

    from .callbacks import Validation

    torch.set_num_threads(1)  # with two, sums are split by load and no run repeats
    env = make_batch(config.env, config.num_envs, config.env_options)
    users, world = BatchVecEnv(env), describe(config.env, env)
    learner = _new_learner(config, users) if saved is None else saved_learner(saved, users)
    if config.start is not None and saved is None:
        take_weights(learner, Path(config.start), config.agent, world)
    if config.log is not None:
        read_log(config.log, learner, users, config.seed)
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
        early_stop=config.early_stop,
        progress=progress,
    )
    return learner, validation, world


def _new_learner(config: TrainConfig, users: Any) -> Any:
    from driftrec.agents.learners import make_learner

    options = dict(config.learner_options) | {"seed": config.seed, "tensorboard_log": None}
    try:
        return make_learner(config.agent, config.algo, users, **options)
    except TypeError as error:  # an argument that the algorithm does not have
        raise UserError(f"option refused by {config.algo}: {error}") from error


def _told_before(config: TrainConfig) -> list[Stage]:
    return [] if config.start is None else stages_of(read_run(Path(config.start)))
