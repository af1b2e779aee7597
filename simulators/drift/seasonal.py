"""Seasonal drift: what the hour of the day or the day of the week does to taste."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ..compiled import bonuses
from ..streams import Draw, Floats
from ..users import Users, unit
from ..world import World
from .abrupt import draw_anchor
from .base import Drift


@dataclass(frozen=True)
class SeasonalDrift(Drift):
    """Interest acted upon = unit(u + weight cos(2 pi (clock + phi) / period) b).

    b = unit(p - q), p and q two tastes of the population: at the crest a user is drawn to p, half
    a period later to q. phi is uniform over the period; both are the user's own for good. The
    first harmonic of a periodic taste, as Koren (2009, "Collaborative filtering with temporal
    dynamics", section 3.2) adds periodic terms to biases. The hour is observed, phi is not.

    Attributes:
        period: hours, 24 for a day or 168 for a week.
        weight: length of the seasonal part at its crest, beside the taste's 1.
    """

    name: ClassVar[str] = "seasonal"
    period: float = 24.0
    weight: float = 0.4

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._weaker(strength, "weight")

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        rows, steps = np.arange(len(users)), len(past) // len(users)
        crest = draw_anchor(world, rows, draw, "seasonal crest")
        trough = draw_anchor(world, rows, draw, "seasonal trough")
        phase = draw.extra(rows, "seasonal phase", 1)[:, 0] * np.float32(self.period)
        for name, value in (("season", unit(crest - trough)), ("phase", phase)):
            users.state[name] = value
            past.state[name] = np.repeat(value, steps, axis=0)

    def tilt(self, world: World, users: Users, interest: Floats) -> None:  # noqa: D102
        phase, season = users.state["phase"], users.state["season"]
        bonuses.add_waves(interest, users.clock, phase, season, self.weight, 1 / self.period)
