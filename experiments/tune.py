"""A study of one agent's options on validation users: the same for every agent, trained or not.

Each trial is one configuration: an agent without training serves the validation users, a learner is
trained and scored by its best checkpoint. The first trial is the agent as it is without tuning, so
that no study chooses worse; then a tree-structured Parzen estimator proposes. Source: Bergstra,
Bardenet, Bengio & Kegl (2011), "Algorithms for hyper-parameter optimization".
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from driftrec.agents import AGENTS

from .errors import UserError
from .evaluate import evaluate
from .files import check_writable
from .grid import claim
from .pretraining import PRETRAINING, describe_stages, stages
from .progress import bar, note
from .runs import git_commit, versions
from .seeds import validation_users
from .spaces import left_to_search, search_space, suggest
from .statistics import interquartile_mean
from .study import RUNS, describe_best, describe_trial, ended, write_study
from .train import TrainConfig, train
from .worlds import DEFAULT_ENV, check_env_id, check_options

STUDY = "study.log"  # every trial, in Optuna's journal
_RANDOM = 8  # trials until the estimator knows enough to propose
_WATCHED = 4  # trials to the end before one may be cut short


@dataclass(frozen=True)
class TuneConfig:
    """Everything that decides a study; the number of trials may grow later.

    Attributes:
        out: the study's folder.
        env: environment id.
        agent: name of an agent, trained or not.
        algo: of a learner.
        trials: configurations to try.
        steps: user-steps of training in each trial of a learner.
        seed: of the proposals, and of each training.
        num_envs: users served at once in training.
        env_options: options of the environment.
        options: options of the agent that are given, and not searched.
        validations: how often each training is validated.
        validation_users: users that every trial is scored on, never met in training or test.
    """

    out: str
    env: str = DEFAULT_ENV
    agent: str = "interest-attention"
    algo: str = "ppo"
    trials: int = 30
    steps: int = 64_000
    seed: int = 0
    num_envs: int = 128
    env_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    validations: int = 5
    validation_users: int = 256

    def __post_init__(self) -> None:
        for name in ("trials", "steps", "num_envs", "validations", "validation_users"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def trained(self) -> bool:
        """Whether the agent is a learner, and not one that acts as it is made."""
        return self.agent not in AGENTS

    def given(self, options: Mapping[str, Any]) -> TuneConfig:
        """With these options too, where they are not given already."""
        return replace(self, options={**options, **self.options})

    def settings(self) -> dict[str, Any]:
        """What a folder's trials have in common."""
        plain = asdict(self)
        for name in ("out", "trials"):
            del plain[name]
        if not self.trained:
            for name in ("algo", "steps", "num_envs", "validations"):
                del plain[name]
        return plain

    @property
    def budget(self) -> str:
        """What a trial may cost."""
        users = f"{self.validation_users} validation users"
        if not self.trained:
            return f"one episode of {users}"
        pretraining = describe_stages(
            stages({"learner_options": self.options, "steps": self.steps})
        )
        return f"{self.steps:,} user-steps (pretraining: {pretraining}), scored on {users}"


@dataclass(frozen=True)
class TuneResult:
    """Where a study stands.

    Attributes:
        folder: the study's folder.
        best: what ``best.json`` holds; None before the first trial has ended.
        trials: how many trials have ended, ``pruned`` of them early.
        interrupted: whether Ctrl-C ended it.
    """

    folder: Path
    best: dict[str, Any] | None
    trials: int
    pruned: int
    interrupted: bool


def tune(config: TuneConfig, *, progress: bool | None = False) -> TuneResult:
    """Do what is left of a study in ``config.out``.

    An interrupted study goes on as if nothing had happened: what a trial is proposed follows from
    the seed and the trials that have ended before it.

    Args:
        config: what to tune.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.

    Returns:
        Where the study stands. After Ctrl-C it returns as well, with ``interrupted`` true.

    Raises:
        UserError: where Optuna is missing, the folder cannot be written or holds a study of other
            settings, or the agent as it is without tuning cannot be used.
    """
    space, untuned = search_space(config.agent, config.algo)
    space = left_to_search(space, config.options)
    if not space:
        raise UserError(f"options must leave something to tune, got all of {', '.join(untuned)}")
    check_options(check_env_id(config.env), config.env_options)
    folder = Path(config.out)
    check_writable(folder)
    optuna = _optuna()
    claim(folder, config.settings(), {"versions": versions(), "git_commit": git_commit()})
    study = _open_study(optuna, folder, config)
    interrupted = False
    with bar(progress, total=config.trials, unit="trial", desc=folder.name) as shown:
        try:
            while (number := len(ended(study))) < config.trials:
                shown.update(number - shown.n)
                waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
                if number == 0 and not waiting:
                    study.enqueue_trial({name: untuned[name] for name in space})
                _one_trial(optuna, study, config, space, number)
                _write(study, config)
                note(progress, f"[{number + 1}/{config.trials}] {describe_trial(ended(study)[-1])}")
        except KeyboardInterrupt:
            interrupted = True
        shown.update(len(ended(study)) - shown.n)
    best = _write(study, config)
    done = ended(study)
    pruned = sum(t.state.name == "PRUNED" for t in done)
    return TuneResult(folder, best, len(done), pruned, interrupted)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("tune needs Optuna: pip install 'driftrec[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _open_study(optuna: Any, folder: Path, config: TuneConfig) -> Any:
    """The study of a folder; a trial that was cut off by the machine counts as not begun."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / STUDY))),
        study_name=f"{config.agent} {config.algo}" if config.trained else config.agent,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_WATCHED, n_warmup_steps=1),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False):
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _write(study: Any, config: TuneConfig) -> dict[str, Any] | None:
    given = {name: v for name, v in config.options.items() if name not in PRETRAINING}
    return write_study(study, Path(config.out), config.settings(), config.budget, given)


def _one_trial(
    optuna: Any,
    study: Any,
    config: TuneConfig,
    space: Mapping[str, Any],
    number: int,
) -> None:
    """Proposes a configuration, tries it and writes down how it went."""
    state = optuna.trial.TrialState
    seed = 1_000_003 * config.seed + number
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM)
    trial = study.ask()
    started = time.perf_counter()
    try:
        options = {**config.options, **{n: suggest(trial, n, p) for n, p in space.items()}}
        score, whole = _try(config, options, trial, number)
        trial.set_user_attr("score", score)
        trial.set_user_attr("seconds", round(time.perf_counter() - started, 3))
        study.tell(trial, score if whole else None, state=None if whole else state.PRUNED)
    except ValueError as error:  # options that do not go together, or not with this environment
        if number > 0:
            trial.set_user_attr("refused", str(error))
        study.tell(trial, state=state.FAIL)
        if number == 0:
            raise
    except BaseException:
        study.tell(trial, state=state.FAIL)
        raise


def _try(
    config: TuneConfig, options: dict[str, Any], trial: Any, number: int
) -> tuple[float, bool]:
    """The score of a configuration, and whether it was tried to the end."""
    if not config.trained:
        return validation_score(
            config.agent, options, config.env, config.env_options, config.validation_users
        ), True
    kept: list[bool] = []

    def on_score(score: float) -> bool:
        trial.report(score, len(kept))
        kept.append(not trial.should_prune())
        return kept[-1]

    out = Path(config.out) / RUNS / f"{number:03d}"
    shutil.rmtree(out, ignore_errors=True)  # half a run, from before an interruption
    result = train(_train_config(config, options, out), on_score=on_score)
    if result.interrupted:
        raise KeyboardInterrupt
    return result.score, result.steps >= config.steps


def validation_score(
    agent: str,
    options: Mapping[str, Any],
    env: str,
    env_options: Mapping[str, Any],
    users: int,
    first: int | None = None,
) -> float:
    """Reward per user-step of an agent that needs no training: interquartile mean of users."""
    from driftrec import agents

    maker: Callable[[Any], Any] = partial(agents.make, agent, **options)
    seed = validation_users() if first is None else first
    score = evaluate(maker, env, users, seed, env_options, name=agent).score
    return float(interquartile_mean(score[None]))


def _train_config(config: TuneConfig, options: Mapping[str, Any], out: Path) -> TrainConfig:
    return TrainConfig(
        out=str(out),
        env=config.env,
        agent=config.agent,
        algo=config.algo,
        steps=config.steps,
        seed=config.seed,
        num_envs=config.num_envs,
        env_options=dict(config.env_options),
        learner_options=dict(options),
        validations=config.validations,
        validation_users=config.validation_users,
    )


def describe_study(result: TuneResult) -> str:
    """A few lines for the terminal."""
    lines = [] if result.best is None else [describe_best(result.folder, result.best)]
    if result.interrupted:
        lines.insert(0, f"interrupted after {result.trials} trials")
        lines.append(f"to go on:     the same command, --out {result.folder}")
    return "\n".join(lines)
