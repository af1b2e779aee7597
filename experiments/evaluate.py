"""Run one agent on a batch of users and keep what happened, user by user and step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from .errors import UserError
from .files import write_atomic
from .worlds import make_batch

Observation = dict[str, npt.NDArray[Any]]


class Agent(Protocol):
    """Whatever answers Stable-Baselines3's ``predict``."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Slates [B, K] for the observations, and the state to hand back at the next step."""
        ...


@dataclass(frozen=True)
class EvaluationResult:
    """One agent's sessions with B users over T steps.

    Attributes:
        agent: the agent's name.
        env_id: the environment's id.
        seed: user i is the environment's user ``seed + i``.
        rewards: [T, B] reward of each step, NaN after the user left.
        shifts: [T, B] whether the user's interest jumped at the end of this step: the first slate
            that meets the new interest is the next one.
        expected_rewards: [T, B] expected reward of the slate shown, of users who have left too, as
            if they had stayed: what agents are worth to the same users; None unless it was asked
            for.
        oracle_rewards: [T, B] the same of the best slate.
        diversity: [B] mean topic distance (1 - cosine) between two items of a slate.
        coverage: share of the catalogue shown to at least one user.
        seconds: wall time.
        topic_entropy: [B] entropy of the topics that a user was shown over the session, as a share
            of that of an even spread: 0 is one topic only, 1 all topics alike; None in results
            from before it was kept.
    """

    agent: str
    env_id: str
    seed: int
    rewards: npt.NDArray[np.float32] = field(repr=False)
    shifts: npt.NDArray[np.bool_] = field(repr=False)
    expected_rewards: npt.NDArray[np.float32] | None = field(repr=False)
    oracle_rewards: npt.NDArray[np.float32] | None = field(repr=False)
    diversity: npt.NDArray[np.float32] = field(repr=False)
    coverage: float
    seconds: float
    topic_entropy: npt.NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def horizon(self) -> int:
        """T."""
        return int(self.rewards.shape[0])

    @property
    def users(self) -> int:
        """B."""
        return int(self.rewards.shape[1])

    @property
    def length(self) -> npt.NDArray[np.int64]:
        """[B] steps until the user left or the horizon came."""
        return np.isfinite(self.rewards).sum(0)

    @property
    def score(self) -> npt.NDArray[np.float64]:
        """[B] return / horizon: a user who leaves earns nothing afterwards."""
        return np.asarray(np.nansum(self.rewards, axis=0, dtype=np.float64) / self.horizon)

    def save(self, path: Path) -> None:
        """Write the result as npz, whole or not at all."""
        arrays: dict[str, Any] = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if getattr(self, name) is not None
        }

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:  # given a name, NumPy would add an ending to it
                np.savez_compressed(file, **arrays)

        write_atomic(path, write)

    @classmethod
    def load(cls, path: Path) -> EvaluationResult:
        """Read what :meth:`save` wrote.

        Raises:
            UserError: where the file is no result of an evaluation.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                values = {name: arrays[name] for name in arrays.files}
            scalars = {name: values.pop(name).item() for name in _SCALARS}
            return cls(**scalars, **{"expected_rewards": None, "oracle_rewards": None, **values})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} holds no evaluation result: {error}") from None


_SCALARS = ("agent", "env_id", "seed", "coverage", "seconds")


def evaluate(
    agent: str | Agent | Callable[[Any], Agent],
    env_id: str,
    users: int = 1000,
    seed: int = 0,
    env_options: Mapping[str, Any] | None = None,
    *,
    oracle: bool = False,
    name: str | None = None,
    on_step: Callable[[int, int], object] | None = None,
) -> EvaluationResult:
    """Let ``agent`` serve ``users`` users at once, from their first step to the horizon.

    The seed fixes the users: every agent evaluated with it meets the same ones.

    Args:
        agent: a name for ``agents.make``, an agent, or a function from environment to agent.
        env_id: the environment's id.
        users: B.
        seed: user i is the environment's user ``seed + i``.
        env_options: options of the environment.
        oracle: record expected rewards, of the slate shown and of the best one (slower); users stay
            in the environment until the horizon, and what they do after they would have left
            counts for nothing but these.
        name: the agent's name in the result.
        on_step: called with (steps done, horizon) after every step.

    Returns:
        What happened.

    Raises:
        ValueError: for an unknown environment, option or agent, or slates of a wrong shape.
    """
    options = dict(env_options or {})
    if oracle:
        options |= {"diagnostics": True, "leaving": False}
    env = make_batch(env_id, users, options)
    try:
        served_by, label = _resolve(agent, env, name)
        return run_sessions(served_by, env, seed, label, env_id, oracle, on_step)
    finally:
        env.close()


def _resolve(agent: Any, env: Any, name: str | None) -> tuple[Agent, str]:
    if isinstance(agent, str):
        from driftrec import agents

        return agents.make(agent, env), name or agent
    if not hasattr(agent, "predict"):
        agent = agent(env)
    return agent, name or type(agent).__name__


def run_sessions(
    agent: Agent,
    env: Any,
    seed: int,
    name: str,
    env_id: str,
    oracle: bool = False,
    on_step: Callable[[int, int], object] | None = None,
) -> EvaluationResult:
    """As :func:`evaluate`, on an environment that exists (all rows start together)."""
    started = time.perf_counter()
    observation, infos = env.reset(seed=seed)
    horizon, users = int(env.unwrapped.horizon), int(env.num_envs)
    log = _Log(env, horizon, oracle)
    state, starts = None, np.ones(users, bool)
    for step in range(horizon):
        slates, state = agent.predict(observation, state, starts, deterministic=True)
        slates = _checked(slates, name, users, int(env.unwrapped.slate_size))
        observation, rewards, terminated, truncated, infos = env.step(slates)
        starts = np.asarray(terminated | truncated)
        left = _last(infos, "left", starts) if oracle else starts
        log.add(step, slates, rewards, left, starts, infos)
        if on_step is not None:
            on_step(step + 1, horizon)
        if not (oracle or log.present.any()):
            break
    return EvaluationResult(
        agent=name,
        env_id=env_id.rpartition(":")[2],
        seed=seed,
        rewards=log.rewards,
        shifts=log.shifts,
        expected_rewards=log.expected_rewards,
        oracle_rewards=log.oracle_rewards,
        diversity=np.asarray(log.diversity / np.maximum(log.steps, 1), np.float32),
        coverage=float(log.shown.mean()),
        seconds=time.perf_counter() - started,
        topic_entropy=spread_of(log.topics),
    )


class _Log:
    """What the sessions leave behind; rewards of users who have left are no longer written."""

    def __init__(self, env: Any, horizon: int, oracle: bool) -> None:
        users, catalog = int(env.num_envs), env.unwrapped.catalog
        self.rewards = np.full((horizon, users), np.nan, np.float32)
        self.expected_rewards = np.full_like(self.rewards, np.nan) if oracle else None
        self.oracle_rewards = np.full_like(self.rewards, np.nan) if oracle else None
        self.shifts = np.zeros((horizon, users), bool)
        self.diversity = np.zeros(users, np.float32)
        self.steps = np.zeros(users, np.int64)
        self.shown = np.zeros(len(catalog), bool)
        self.present = np.ones(users, bool)
        self.topics = np.zeros((users, catalog.topics.shape[1]), np.float32)  # how often shown
        self._shares = catalog.topics  # [N, C]
        norm = np.linalg.norm(catalog.topics, axis=1, keepdims=True)
        self._units = catalog.topics / norm  # [N, C]

    def add(self, step: int, slates: Any, rewards: Any, left: Any, done: Any, infos: Any) -> None:
        here = self.present
        self.rewards[step, here] = rewards[here]
        self.shifts[step] = _last(infos, "shift", done)
        for kept, key in (
            (self.expected_rewards, "expected_reward"),
            (self.oracle_rewards, "oracle_reward"),
        ):
            if kept is not None:
                kept[step] = _last(infos, key, done)
        self.shown[slates[here].ravel()] = True
        self.diversity[here] += slate_diversity(self._units, slates[here])
        self.topics[here] += self._shares[slates[here]].sum(1)
        self.steps[here] += 1
        self.present = here & ~left


def slate_diversity(
    topics: npt.NDArray[np.float32], slates: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Mean of 1 - cosine over the pairs of a slate.

    Args:
        topics: [N, C] unit rows.
        slates: [B, K] item indices.

    Returns:
        [B] in [0, 1]; 0 where K = 1.
    """
    size = slates.shape[1]
    if size == 1:
        return np.zeros(len(slates), np.float32)
    total = topics[slates].sum(1)  # [B, C]
    cosine = ((total**2).sum(1) - size) / (size * (size - 1))
    return np.asarray(1 - cosine, np.float32)


def spread_of(shown: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Shannon's entropy over that of an even spread.

    Args:
        shown: [B, C] how often each topic was shown, 0 or more.

    Returns:
        [B] in [0, 1]; 0 where there is one topic only, or nothing was shown.
    """
    share = shown / np.maximum(shown.sum(1, keepdims=True), 1e-9)
    even = np.log(max(shown.shape[1], 2))
    return np.asarray(entr(share).sum(1) / even, np.float32)


def _last(infos: Mapping[str, Any], key: str, done: npt.NDArray[np.bool_]) -> Any:
    """[B] the value of the step just taken, also where the row has been reset since."""
    if key not in infos:
        raise UserError(f"the environment gives no info {key!r}")
    value = np.asarray(infos[key])
    final = infos.get("final_info", {})
    if done.any() and key in final:
        value = np.where(done, np.asarray(final[key]), value)
    return value


def _checked(slates: Any, name: str, users: int, size: int) -> npt.NDArray[np.int64]:
    slates = np.asarray(slates)
    if slates.shape != (users, size):
        raise ValueError(
            f"agent {name!r} must give slates of shape {(users, size)}, got {slates.shape}"
        )
    return slates
