"""Static agents: what a recommender that re-learns nothing can earn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from driftrec.simulators.streams import Floats

from .agent import Agent, AgentConfig, State
from .linear import DiscountedConfig, DiscountedLinUCB
from .observation import Observation
from .search import Range, Space


class Random(Agent):
    """K distinct items, uniformly."""

    def act(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        return self.uniform(state, self.platform.num_items)


class Constant(Agent):
    """The same slate for all users at all times: the K items with the largest ``merit``."""

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        super().__init__(env, config)
        self.merit = self._merit()

    def _merit(self) -> Floats:
        """[N]."""
        raise NotImplementedError

    def act(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        return np.broadcast_to(self.merit, (len(observation["slates"]), len(self.merit)))


class Popularity(Constant):
    """The items with the largest mean reward in the platform's log."""

    def _merit(self) -> Floats:
        return self.platform.log.reward


class QualityFirst(Constant):
    """The items that all users think best of."""

    def _merit(self) -> Floats:
        return self.platform.catalog.quality


class SingleTopic(Constant):
    """The best items of the topic with the largest mean reward in the platform's log."""

    def _merit(self) -> Floats:
        topics = self.platform.catalog.topics
        reward = self.platform.log.reward
        best = (topics.T @ reward / np.maximum(topics.sum(0), 1)).argmax()
        return reward * topics[:, best] + np.float32(1e-6) * reward


@dataclass(frozen=True)
class LoopConfig(AgentConfig):
    """Options of ``ItemLoop``.

    Attributes:
        slates: length of the loop.
    """

    slates: int = 2


class ItemLoop(Agent):
    """The most popular items, a few slates in turn."""

    Config: ClassVar[type[AgentConfig]] = LoopConfig
    config: LoopConfig

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        super().__init__(env, config)
        merit = self.platform.log.reward
        rank = np.argsort(np.argsort(-merit, kind="stable"))
        slates = max(1, min(self.config.slates, len(merit) // self.platform.slate_size))
        turn = np.where(rank < slates * self.platform.slate_size, rank % slates, -1)
        self._merit = merit + (turn == np.arange(slates)[:, None]) * np.float32(merit.max() * 2)

    def act(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        return self._merit[state["step"] % len(self._merit)]


@dataclass(frozen=True)
class StaticInterestConfig(DiscountedConfig):
    """Options of ``StaticInterest``: those of the regression that it stops after the warm-up."""

    gamma: float = 1.0
    satiation: float = 0.0


class StaticInterest(DiscountedLinUCB):
    """A profile fitted on the warm-up as ``DiscountedLinUCB`` fits it, then frozen."""

    Config: ClassVar[type[AgentConfig]] = StaticInterestConfig
    search: ClassVar[Space] = {
        "gamma": Range(0.95, 1.0, grid=(0.98, 1.0)),
        "reserve": Range(-1.0, 0.5, grid=(-0.5, 0.0)),
        "diversity": Range(0.0, 0.6, grid=(0.2, 0.3)),
        "satiation": Range(0.0, 0.5),
        "ridge": Range(0.5, 10.0, log=True),
    }

    def update(self, state: State, observation: Observation) -> State:  # noqa: D102
        return dict(state)
