"""Satiation: much of a topic makes more of it less welcome, until it is missed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..compiled import bonuses, kernels
from ..response import Outcome
from ..streams import Draw, Floats
from ..users import Users
from ..world import World
from .base import Drift


@dataclass(frozen=True)
class Satiation(Drift):
    """s_k <- rho (s_k + consumed_k), utility of topic k falls by weight s_k.

    rho = 2^(-1 / half_life). Source: Leqi, Kilinc Karzan, Lipton & Montgomery (2021), "Rebounding
    bandits for modeling satiation effects", the deterministic part of their linear dynamics.

    Attributes:
        half_life: requests until half of the satiation is gone.
        weight: loss of utility per unit of satiation, in logits.
    """

    name: ClassVar[str] = "satiation"
    half_life: float = 6.0
    weight: float = 0.3

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._weaker(strength, "weight")

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        users.state["satiation"] = np.zeros((len(users), len(world.centers)), np.float32)

    def topic_utility(self, world: World, users: Users, bonus: Floats) -> None:  # noqa: D102
        satiation = users.state.get("satiation")
        if satiation is not None:  # nobody is tired in the warm-up
            bonuses.add_scaled(bonus, -self.weight, satiation)

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        rho = 2 ** (-1 / self.half_life)
        kernels.tire(users.state["satiation"], world.topic, outcome.item, rho)
