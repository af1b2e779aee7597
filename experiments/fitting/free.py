"""A log of simulated users who choose freely among all items, as a log without slates records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Simulator
from driftrec.simulators.compiled import draws

from .reading import EventLog, make_log

_UNSEEN = 30  # events before the log begins, in which satiation settles


@dataclass(frozen=True)
class Rhythm:
    """When simulated users come.

    Attributes:
        length: mean events of a visit; visits end with probability 1 / length after each event.
        within: seconds from event to event.
        between: mean seconds from visit to visit, exponentially distributed.
    """

    length: float = 20.0
    within: float = 60.0
    between: float = 86400.0


def free_log(
    simulator: Simulator,
    num_users: int,
    num_events: int,
    seed: int = 0,
    rhythm: Rhythm | None = None,
    interests: list[npt.NDArray[np.float64]] | None = None,
) -> EventLog:
    """Simulates ``num_events`` choices of each user, one item of the whole catalogue at a time.

    An item is taken with probability exp(utility) / sum exp(utility): no slate, no position and
    nothing left untaken. Satiation settles during 30 events that are not recorded.

    Args:
        simulator: the world.
        num_users: B.
        num_events: T.
        seed: of the first user.
        rhythm: when they come, on the users' own clocks.
        interests: gets the users' mean attributes before each recorded choice, [B, D] each: the
            part of a choice that is not chance.
    """
    rhythm = rhythm or Rhythm()
    rng = np.random.default_rng([seed, 4])
    seeds = seed + np.arange(num_users)
    users, _, _ = simulator.start(seeds, np.zeros(num_users, np.int64))
    now = users.clock.astype(np.float64) * 3600
    items, times = np.zeros((num_users, num_events), np.int64), np.zeros((num_users, num_events))
    attributes = simulator.world.attributes.astype(np.float64)
    for event in range(-_UNSEEN, num_events):
        utility = simulator.utility_of_all(users)
        utility -= utility.max(1, keepdims=True)
        np.exp(utility, out=utility)
        item = draws.pick(utility, rng.random((1, num_users), np.float32))[0]
        if event >= 0:
            items[:, event], times[:, event] = item, now
            if interests is not None:
                interests.append(utility @ attributes / utility.sum(1, keepdims=True))
        leaves = rng.random(num_users) < 1 / rhythm.length
        now += np.where(leaves, rng.exponential(rhythm.between, num_users), rhythm.within)
        simulator.consume(users, item, (now / 3600).astype(np.float32))
    owner = np.repeat(np.arange(num_users), num_events)
    popularity = np.bincount(items.ravel(), minlength=len(attributes))
    return make_log(owner, items.ravel(), times.ravel(), popularity, seed=seed)
