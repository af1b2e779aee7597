"""Abrupt shift: the long-term taste is replaced, or an earlier one comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..response import Outcome
from ..streams import Draw, normal
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
        users.state["former"] = draw_anchor(world, rows, draw, "former")
        past.state["former"] = np.repeat(users.state["former"], len(past) // len(users), axis=0)

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        event, kind = draw[self.name].T
        np.less(event, self.hazard(self.half_life), out=users.shifted)
        rows = users.shifted.nonzero()[0]
        if not len(rows):
            return
        former = users.state["former"]
        back = (kind[rows] < self.returning)[:, None]
        fresh = draw_anchor(world, rows, draw, self.name)
        anchor = np.where(back, former[rows], fresh)
        former[rows] = users.anchor[rows]
        users.anchor[rows] = users.taste[rows] = anchor


def draw_anchor(world: World, rows: np.ndarray, draw: Draw, purpose: str) -> np.ndarray:
    """[len(rows), D] long-term tastes from the population: a prototype and one's own part."""
    dims = world.dimensions
    uniform = draw.extra(rows, purpose, 1 + 2 * ((dims + 1) // 2))
    row = (uniform[:, 0] * len(world.prototypes)).astype(np.int64)
    own = normal(uniform[:, 1:])[:, :dims] * np.float32(world.user_spread / np.sqrt(dims))
    return unit(world.prototypes[row] + own)
