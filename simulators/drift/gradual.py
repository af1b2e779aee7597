"""Gradual drift: taste wanders around its anchor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np

from ..compiled import kernels
from ..response import Outcome
from ..streams import Draw
from ..users import Users, unit
from ..world import World
from .base import Drift


@dataclass(frozen=True)
class GradualDrift(Drift):
    """u <- unit(u + theta (a - u) + sigma eps), eps ~ N(0, I / D).

    theta = 1 - 2^(-1 / half_life), sigma = spread sqrt(1 - (1 - theta)^2): an Ornstein-Uhlenbeck
    process (Uhlenbeck & Ornstein, 1930) brought back to the sphere. Its noise grows with the square
    root of time, so the spread that it settles at does not depend on the half-life.

    Attributes:
        half_life: requests until half of a deviation from the anchor is forgotten.
        spread: length of the deviation that it settles at.
    """

    name: ClassVar[str] = "gradual"
    half_life: float = 100.0
    spread: float = 0.5

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._slower(strength, "half_life")

    def normals(self, world: World) -> int:  # noqa: D102
        return world.dimensions

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        size = np.float32(self.spread / np.sqrt(world.dimensions))
        unit(users.anchor + size * draw.normal(self.name), out=users.taste)
        past.taste.reshape(len(users), -1, world.dimensions)[:] = users.taste[:, None]

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        theta = self.hazard(self.half_life)
        if theta == 0:
            return
        sigma = _sigma(self.spread, theta, world.dimensions)
        kernels.wander(users.taste, users.anchor, draw.normal(self.name), theta, sigma)


@lru_cache
def _sigma(spread: float, theta: np.float32, dimensions: int) -> np.float32:
    """Standard deviation of a step's noise in one dimension."""
    return np.float32(spread * np.sqrt((1 - (1 - theta) ** 2) / dimensions))
