"""Abrupt shift: the long-term taste is replaced, or an earlier one comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..compiled import draws, kernels
from ..response import Outcome
from ..streams import Draw
from ..users import Users, unit
from ..world import World
from .base import Drift


@dataclass(frozen=True)
class AbruptShift(Drift):
    """With probability p the anchor and the taste are replaced.

    p = 1 - 2^(-1 / half_life). The new anchor is the one before the present (with probability
    ``returning``) or a draw from the population. A switching process in the sense of change-point
    bandits (Garivier & Moulines, 2011), with returns.

    Attributes:
        half_life: requests until half of the users have shifted.
        returning: probability that a shift goes back to the former taste.
    """

    name: ClassVar[str] = "abrupt"
    half_life: float = 150.0
    returning: float = 0.5

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._slower(strength, "half_life")

    def lanes(self, world: World) -> int:  # noqa: D102
        return 2

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        rows = np.arange(len(users))
        users.state["former"] = draw_anchor(world, rows, draw, "former")  # the past has no shifts

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        event, kind = draw[self.name].T
        np.less(event, self.hazard(self.half_life), out=users.shifted)
        rows = users.shifted.nonzero()[0]
        if not len(rows):
            return
        former = users.state["former"]
        fresh = draw_anchor(world, rows, draw, self.name)
        kernels.shift(users.taste, users.anchor, former, fresh, rows, kind < self.returning)


def draw_anchor(world: World, rows: np.ndarray, draw: Draw, purpose: str) -> np.ndarray:
    """[len(rows), D] long-term tastes from the population: a prototype and one's own part."""
    dims = world.dimensions
    uniform = draw.extra(rows, purpose, 1 + 2 * ((dims + 1) // 2))
    return unit(draws.variations(uniform, world.prototypes, world.user_spread / math.sqrt(dims)))
