"""Repeat consumption: what was taken lately is taken again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np

from ..compiled import bonuses, kernels
from ..response import Outcome
from ..streams import Draw, Floats
from ..users import Users
from ..world import Indices, World
from .base import Drift

_OLDEST = 256  # requests; what lies further back counts as that old


@dataclass(frozen=True)
class RepeatConsumption(Drift):
    """Utility of an item rises by weight ln(1 + sum_j t_j^-decay), taken t_j requests ago.

    The sum is over the last ``memory`` items taken. Source: base-level activation of ACT-R,
    B = ln sum_j t_j^(-d) (Anderson & Schooler, 1991, "Reflections of the environment in memory"),
    found in repeated listening by Reiter-Haas et al. (2021, "Predicting music relistening behavior
    using the ACT-R framework"); the 1 lets an item that was never taken gain nothing.

    Attributes:
        decay: d, of the power law; ACT-R's default is 0.5.
        weight: logits of utility per unit of activation.
        memory: items taken that are remembered.
    """

    name: ClassVar[str] = "repeat"
    decay: float = 0.5
    weight: float = 1.0
    memory: int = 8

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._weaker(strength, "weight")

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        shape = (len(users), self.memory)
        users.state["taken"] = np.full(shape, -1, np.int32)
        users.state["taken_at"] = np.zeros(shape, np.int64)
        users.state["taken_next"] = np.zeros(len(users), np.int64)

    def item_utility(  # noqa: D102
        self, world: World, users: Users, items: Indices, utility: Floats
    ) -> None:
        if "taken" not in users.state:  # nothing is remembered in the warm-up
            return
        taken, taken_at = users.state["taken"], users.state["taken_at"]
        power = _power(self.decay)
        bonuses.add_by_use(utility, items, taken, taken_at, users.step, power, self.weight)

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        taken, taken_at = users.state["taken"], users.state["taken_at"]
        kernels.remember(taken, taken_at, users.state["taken_next"], outcome.item, users.step)


@lru_cache
def _power(decay: float) -> Floats:
    """[_OLDEST] recency t^-decay of what was taken 1, 2, ... requests ago."""
    return (np.arange(1, _OLDEST + 1) ** -decay).astype(np.float32)
