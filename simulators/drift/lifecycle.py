"""Item lifecycle: items are born, age and expire."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ..compiled import bonuses, kernels
from ..streams import Floats
from ..users import Ints, Users
from ..world import Indices, Stock, World
from .base import Drift


@dataclass(frozen=True)
class ItemLifecycle(Drift):
    """Utility of an item aged a hours rises by weight 2^(-a / half_life); past ``life`` it is -inf.

    Every item is born once a ``period``, at an hour drawn from the world's seed, spread evenly
    within its topic, so that each topic always has fresh items. Source: the exponential decay of
    interest in a news article; in the log MIND about 85 % of the articles are clicked for the last
    time within 48 hours (Wu et al., 2020; LANCER, 2023), a half-life of 17.5 hours.

    Attributes:
        life: hours from birth until an item is gone; inf for items that stay.
        half_life: hours until half of the freshness is gone.
        weight: utility of being new, in logits.
        period: whole hours after which the births come round again; a week makes the age of an item
            a function of the observed hour and weekday.
    """

    name: ClassVar[str] = "lifecycle"
    life: float = 60.0
    half_life: float = 17.5
    weight: float = 2.0
    period: int = 168

    def __post_init__(self) -> None:
        if self.period < 1 or self.period != int(self.period):
            raise ValueError(f"period must be a whole number of hours >= 1, got {self.period}")

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._slower(strength, "life", "half_life")

    @property
    def churns(self) -> bool:
        """Whether an item's life ends before it is born again."""
        return self.life < self.period

    def item_utility(  # noqa: D102
        self, world: World, users: Users, items: Indices, utility: Floats
    ) -> None:
        tables = timetable(self, world)
        bonuses.add_by_age(utility, tables.by_age, tables.born, users.clock, items)

    def available(
        self, world: World, clock: Floats, out: npt.NDArray[np.int8] | None = None
    ) -> npt.NDArray[np.int8]:
        """[B, N] 1 where an item is alive at the ``clock`` [B], written to ``out`` if given."""
        now = kernels.hours(clock, self.period)
        return alive(self, world).take(now, axis=0, out=out, mode="clip")  # fills in place

    def update(
        self, world: World, clock: Floats, available: npt.NDArray[np.int8], hour: Ints
    ) -> None:
        """Brings ``available`` [B, N] from the ``hour`` [B] that it is of to the ``clock`` [B]."""
        kernels.turn_pages(available, hour, alive(self, world), clock)

    def stock(self, world: World) -> Stock:
        """What each topic has in each hour of the period."""
        tables = timetable(self, world)
        return tables.members, world.first, tables.oldest, tables.living


class Timetable(NamedTuple):
    """The hours of births, and what follows from them.

    Attributes:
        born: [N] int32 hour of birth.
        by_age: [period] utility of an item by its age in hours.
        members: [N] items sorted by topic and birth.
        oldest: [period, C] int32 place, among its topic's ``members``, of the oldest living item.
        living: [period, C] int32 living items of each topic; they follow the oldest, cyclically.
    """

    born: Indices
    by_age: Floats
    members: Indices
    oldest: Indices
    living: Indices


@lru_cache(maxsize=16)
def timetable(process: ItemLifecycle, world: World) -> Timetable:
    """The births of a world's items."""
    rng = np.random.default_rng([world.seed, crc32(b"lifecycle")])
    period, hours = process.period, np.arange(process.period)
    by_age = process.weight * 2.0 ** (-hours / process.half_life)
    by_age[hours >= process.life] = -np.inf
    members = world.members[np.lexsort((rng.random(len(world.topic)), world.topic[world.members]))]
    # One birth in each of n equal parts of the period, n the number of the topic's items.
    size = np.diff(world.first)
    place = np.arange(len(members)) - np.repeat(world.first[:-1], size)
    born = np.empty(len(members), np.int32)
    born[members] = (place + rng.random(len(members))) * period / np.repeat(size, size)
    oldest, living = np.zeros((2, period, len(size)), np.int32)
    lived = int(min(np.ceil(process.life), period))
    for k in np.flatnonzero(size):
        own = born[members[world.first[k] : world.first[k + 1]]]
        gone = _births_by(own, hours - lived, period)
        oldest[:, k] = gone % len(own)
        living[:, k] = _births_by(own, hours, period) - gone
    return Timetable(born, by_age.astype(np.float32), members, oldest, living)


def _births_by(born: Indices, time: Ints, period: int) -> Ints:
    """Births up to and including each ``time``, of items born at the hours ``born``, ascending."""
    return len(born) * (time // period) + np.searchsorted(born, time % period, side="right")


@lru_cache(maxsize=16)
def alive(process: ItemLifecycle, world: World) -> npt.NDArray[np.int8]:
    """[period, N] 1 where an item is alive in an hour: a row of it is a user's observation."""
    born = timetable(process, world).born
    table = np.empty((process.period, len(born)), np.int8)
    for time in range(process.period):
        table[time] = (time - born) % process.period < process.life
    return table
