"""Bounds: agents that read what no recommender can know. Privileged; never a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from driftrec.simulators import Simulator, Users

from .agent import Agent, AgentConfig, Slates, State, check_range
from .observation import Observation
from .platform import attribute


@dataclass(frozen=True)
class OracleConfig(AgentConfig):
    """Options of ``Oracle``.

    Attributes:
        loyalty: what grade 1 is worth beyond the reward, in its unit, because who is pleased stays;
            0 looks one request ahead.
    """

    loyalty: float = 0.0

    def __post_init__(self) -> None:
        check_range("loyalty", self.loyalty, 0)


class Oracle(Agent):
    """The slate with the largest expected reward now, from the users' true state.

    Privileged: reads ``env.unwrapped.session.users``. It acts in the environment that it was made
    for, whatever the observation says, and looks one request ahead unless it values loyalty.
    """

    Config: ClassVar[type[AgentConfig]] = OracleConfig
    config: OracleConfig

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        super().__init__(env, config)
        self._env = env
        self._simulator: Simulator = attribute(env, "simulator")

    def act(self, state: State, observation: Observation) -> Any:
        """Not used: the best slate is no set of the best items."""
        raise NotImplementedError

    def choose(  # noqa: D102
        self, state: State, observation: Observation, deterministic: bool
    ) -> Slates:
        users: Users | None = attribute(self._env, "session").users
        if users is None or len(users) != len(observation["slates"]):
            raise ValueError(
                f"observation must come from the oracle's own environment, which has "
                f"{0 if users is None else len(users)} users, got {len(observation['slates'])}"
            )
        slates = self._simulator.best_slate(users, loyalty=self.config.loyalty)[0]
        return slates.astype(np.int64)
