"""Policies that look at nobody."""

from __future__ import annotations

from typing import Any

import numpy as np

from driftrec.simulators.streams import Floats

from .agent import Agent, State
from .observation import Observation


class FixedLoop(Agent):
    """The same for all users: L slates in turn.

    Args:
        env: the environment to act in.
        merit: [L, N] how much each item deserves its place in each slate; what is not available
            makes way for the next best.
    """

    def __init__(self, env: Any, merit: Floats) -> None:
        super().__init__(env)
        if merit.ndim != 2 or merit.shape[1] != self.platform.num_items:
            raise ValueError(f"merit must be [L, {self.platform.num_items}], got {merit.shape}")
        self.merit = np.asarray(merit, np.float32)

    def act(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        return self.merit[state["step"] % len(self.merit)]
