"""Trend shocks: topics that everybody talks about for a while."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self
from zlib import crc32

import numpy as np

from ..compiled import bonuses
from ..streams import Floats
from ..users import Users
from ..world import CYCLE, World
from .base import Drift


@dataclass(frozen=True)
class TrendShock(Drift):
    """Utility of topic k rises by size sum_e 2^(-(clock - t_e) / half_life), e its past shocks.

    Shocks come at Poisson times of the world's clock, to topics drawn uniformly: an exponentially
    decaying response to exogenous bursts (Crane & Sornette, 2008, "Robust dynamic classes revealed
    by measuring the response function of a social system", there with a power law). They follow
    from the world's seed, so users share them and no user depends on its batch. After eight weeks
    they come round again; the observed hour and weekday do not tell which of the weeks it is.

    Attributes:
        gap: mean hours between two shocks.
        half_life: hours until half of a shock is over.
        size: what a shock adds to the utility of its topic, in logits.
    """

    name: ClassVar[str] = "trend"
    gap: float = 12.0
    half_life: float = 12.0
    size: float = 1.5

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._weaker(strength, "size")

    def topic_utility(self, world: World, users: Users, bonus: Floats) -> None:  # noqa: D102
        bonuses.add_by_hour(bonus, trends(self, world), users.clock)


@lru_cache(maxsize=16)
def trends(process: TrendShock, world: World) -> Floats:
    """[CYCLE, C] what each topic gains in each hour of the world's clock, in logits."""
    rng = np.random.default_rng([world.seed, crc32(b"trend")])
    count = rng.poisson(CYCLE / process.gap)
    start, topic = rng.uniform(0, CYCLE, count), rng.integers(len(world.centers), size=count)
    table = np.zeros((CYCLE, len(world.centers)))
    hours = np.arange(CYCLE)
    for begins, k in zip(start, topic, strict=True):
        table[:, k] += 2 ** (-((hours - begins) % CYCLE) / process.half_life)
    return (process.size * table).astype(np.float32)
