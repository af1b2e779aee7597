"""What every agent is: Stable-Baselines3's ``predict`` over a few hooks for B users at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from driftrec.simulators import top_items
from driftrec.simulators.streams import Draw, Floats, Keys, Lanes, mix64

from .observation import Observation, check_observation, check_starts
from .platform import Platform
from .search import Space

State = dict[str, npt.NDArray[Any]]
Slates = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AgentConfig:
    """What every agent can be told.

    Attributes:
        seed: of the agent's own random numbers; no agent reads a global generator.
    """

    seed: int = 0


class Agent(ABC):
    """An agent that recommends slates; what it knows of a user lies in ``state``.

    A subclass says what it keeps of B users (``begin``, ``update``) and how it scores the items
    (``act``); all hooks take and return arrays with a leading user axis and loop over no user.
    They never write into the state that they are given.

    Every user has a stream of random numbers of its own, that follows from the agent's seed and
    from the history that the user comes with: slates depend neither on the batch nor on the order
    of calls.

    Args:
        env: the environment to act in: single, vector, wrapped, or an SB3 ``VecEnv``.
        config: options, of the class ``Config``.
    """

    Config: ClassVar[type[AgentConfig]] = AgentConfig
    search: ClassVar[Space] = {}  # which options of ``Config`` are worth tuning

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        self.config = self.Config() if config is None else config
        if not isinstance(self.config, self.Config):
            raise ValueError(
                f"config must be a {self.Config.__name__}, got {type(self.config).__name__}"
            )
        self.platform = Platform.of(env)

    # --- hooks ---------------------------------------------------------------------------------

    def begin(self, observation: Observation) -> State:
        """What is kept of users of whom only the H slates of ``observation`` are known.

        Args:
            observation: batched, ``slates`` [B, H, K] and so on.

        Returns:
            Arrays [B, ...] by name.
        """
        return {}

    def update(self, state: State, observation: Observation) -> State:
        """The state after one more slate, the newest of ``observation`` (index -1)."""
        return dict(state)

    @abstractmethod
    def act(self, state: State, observation: Observation) -> Floats:
        """[B, N] how much each item deserves a place in the next slate."""

    def choose(self, state: State, observation: Observation, deterministic: bool) -> Slates:
        """[B, K] distinct items, best first: those with the largest scores among the available."""
        scores = self.available(self.act(state, observation), observation)
        return top_items(scores, self.platform.slate_size)

    def available(self, scores: Floats, observation: Observation) -> Floats:
        """``scores`` [B, N] with -inf where an item is not to be had."""
        mask = observation.get("available")
        return scores if mask is None else np.where(mask > 0, scores, np.float32(-np.inf))

    # --- what callers use ----------------------------------------------------------------------

    def predict(
        self,
        observation: Observation,
        state: State | None = None,
        episode_start: npt.ArrayLike | None = None,
        deterministic: bool = True,
    ) -> tuple[Slates, State]:
        """The next slates, and the state to hand back with the next observation.

        Args:
            observation: of one user (``slates`` [H, K]) or of B users ([B, H, K]).
            state: what the last call returned; None to start anew.
            episode_start: [B] bool, the rows to be rebuilt from their H slates; in other rows only
                the newest slate is taken for new.
            deterministic: False lets an agent that has a stochastic policy sample from it.

        Returns:
            Slates [K] or [B, K] of distinct item ids, and the state.

        Raises:
            ValueError: for an observation, state or episode_start that does not fit, naming it.
        """
        batch, single = check_observation(observation, self.platform)
        num_users = len(batch["slates"])
        if state is None:
            state = self._begin(batch)
        else:
            state = self._follow(state, batch, check_starts(episode_start, num_users))
        slates = self.choose(state, batch, deterministic)
        return (slates[0] if single else slates), state

    def _follow(self, state: State, batch: Observation, starts: npt.NDArray[np.bool_]) -> State:
        if starts.all():
            return self._begin(batch)
        if len(state["key"]) != len(starts):
            raise ValueError(
                f"state must be of as many users as the observation ({len(starts)}), "
                f"got {len(state['key'])}"
            )
        moved = self.update(state, batch)
        moved["key"], moved["step"] = state["key"], state["step"] + 1
        if not starts.any():
            return moved
        rows = np.flatnonzero(starts)
        fresh = self._begin({name: value[rows] for name, value in batch.items()})
        moved = {name: value.copy() for name, value in moved.items()}
        for name, value in fresh.items():
            moved[name][rows] = value
        return moved

    def _begin(self, batch: Observation) -> State:
        state = self.begin(batch)
        state["key"] = user_streams(batch, self.config.seed)
        state["step"] = np.zeros(len(state["key"]), np.int64)
        return state

    def uniform(self, state: State, count: int) -> Floats:
        """[B, count] numbers uniform on (0, 1), new at each step, of each user's own stream."""
        draw = Draw(state["key"], state["step"], Lanes({"agent": count}))
        return draw["agent"]


def user_streams(batch: Observation, seed: int) -> Keys:
    """[B] streams of random numbers, from the agent's seed and the users' histories.

    Users without a history are told apart by what is to be had, where that differs.
    """
    num_users = len(batch["slates"])
    shown = batch["slates"].reshape(num_users, -1).astype(np.int64).astype(np.uint64)
    grade = np.ascontiguousarray(batch["feedback"], np.float32).reshape(num_users, -1)
    word = (shown << np.uint64(32)) + grade.view(np.uint32)
    place = np.arange(word.shape[1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    word = mix64(word + place).sum(1, dtype=np.uint64)
    if "available" in batch:
        unknown = (batch["slates"] < 0).all((1, 2))
        offer = (batch["available"] > 0).astype(np.uint64)
        met = offer @ mix64(np.arange(1, offer.shape[1] + 1, dtype=np.uint64))
        word = np.where(unknown, word + met, word)
    return mix64(word + mix64(np.full(1, seed).astype(np.uint64)))


def check_range(
    name: str, value: float, low: float, high: float = np.inf, *, open_below: bool = False
) -> None:
    """Refuses an option that is no number in [low, high], or in (low, high].

    Raises:
        ValueError: naming the option, its bounds and the value.
    """
    inside = isinstance(value, int | float | np.number) and low <= value <= high
    if not inside or (open_below and value == low):
        bracket = "(" if open_below else "["
        raise ValueError(f"{name} must be a number in {bracket}{low}, {high}], got {value!r}")
