"""Influence: what users are shown changes what they like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..compiled import kernels
from ..response import Outcome
from ..streams import Draw, Floats
from ..users import Users, unit
from ..world import World
from .base import Drift


@dataclass(frozen=True)
class Influence(Drift):
    """u <- unit(u + eta (x - u)), x the item taken; eta = 1 - 2^(-1 / half_life).

    And with ``aversion``, the slots passed over push away: u <- unit(u - eta_minus y), y their mean
    attributes, eta_minus = 1 - 2^(-1 / aversion). Source: the linear assimilation of RecLab's and
    SARDINE's simulators (Krauth et al., 2020; Deffayet et al., 2023). The taste is moved, not the
    anchor: where taste returns to its anchor, so it does from what influence made of it.

    Attributes:
        half_life: items taken until half of the way to a repeated item is gone.
        aversion: slates passed over until half of the taste for their items is gone; inf for none.
    """

    name: ClassVar[str] = "influence"
    half_life: float = 35.0
    aversion: float = np.inf

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._slower(strength, "half_life", "aversion")

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        away, toward = self.hazard(self.aversion), self.hazard(self.half_life)
        if away > 0:
            unit(users.taste - away * _passed_over(world, outcome), out=users.taste)
        if toward > 0:
            kernels.approach(users.taste, world.attributes, outcome.item, toward)


def _passed_over(world: World, outcome: Outcome) -> Floats:
    """[B, D] mean attributes of the slots that were shown and not taken."""
    total = np.take(world.attributes, outcome.slates, axis=0).sum(1)
    total -= world.attributes[outcome.item] * outcome.consumed[:, None]
    count = np.maximum(outcome.slates.shape[1] - outcome.consumed, 1).astype(np.float32)
    return total / count[:, None]
