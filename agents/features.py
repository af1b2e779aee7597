"""What a platform's own log says about its items: the vectors that all agents share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog, Simulator, Users, unit
from driftrec.simulators.affinity import fit_affinity
from driftrec.simulators.streams import Floats
from driftrec.simulators.world import WEEK

_FIRST_SEED = 2**40  # far from the seeds of any training or evaluation
_DIMENSIONS = 32  # of the vectors fitted on the log
_SHRINK = 50.0  # impressions of the average item that are added to each item's own

Slates = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PublicLog:
    """Statistics of a log of other users under the platform's earlier recommender.

    Attributes:
        features: [N, F] unit rows, items that please the same users lie close together.
        bias: [N] mean graded feedback per impression, drawn towards the mean of all.
        reward: [N] mean reward per impression, drawn likewise.
        position: [K] mean graded feedback of each slot over that of all slots.
        noise: standard deviation of a slot's feedback around ``bias``.
        slates: [U, H, K] the log itself, and graded ``feedback`` [U, H, K] on it; None where only
            the statistics are known.
        by_age: [168] mean graded feedback on items out for so many hours, over that on all; None
            where it is not known when items come out.
    """

    features: Floats
    bias: Floats
    reward: Floats
    position: Floats
    noise: float
    slates: Slates | None = None
    feedback: Floats | None = None
    by_age: Floats | None = None


@lru_cache(maxsize=8)
def public_log(simulator: Simulator, requests: int = 500_000) -> PublicLog:
    """Simulates the log and reads it.

    Args:
        simulator: the world whose logging policy is run; it holds no user.
        requests: size of the log.
    """
    num_users = int(np.clip(requests // simulator.history, 500, 20_000))
    seeds = _FIRST_SEED + np.arange(num_users)
    users, slates, feedback = simulator.start(seeds, np.zeros(num_users, np.int64))
    reward = simulator.domain.response.reward(feedback, simulator.worth[slates])
    bias = _mean_per_item(feedback, slates, len(simulator.worth))
    return PublicLog(
        features=item_features(simulator.world.catalog, slates, feedback),
        bias=bias,
        reward=_mean_per_item(reward, slates, len(bias)),
        position=(feedback.mean((0, 1)) / max(feedback.mean(), 1e-9)).astype(np.float32),
        noise=float((feedback - bias[slates]).std()),
        slates=slates,
        feedback=feedback,
        by_age=_by_age(simulator, users, slates, feedback),
    )


def _mean_per_item(number: Floats, slates: Slates, num_items: int) -> Floats:
    """[N] mean of ``number`` [U, H, K] over the impressions of each item, shrunk."""
    shown = np.bincount(slates.ravel(), minlength=num_items)
    total = np.bincount(slates.ravel(), number.ravel(), minlength=num_items)
    return ((total + _SHRINK * number.mean()) / (shown + _SHRINK)).astype(np.float32)


def hours_out(hour: npt.NDArray[Any], born: Floats) -> npt.NDArray[np.int64]:
    """Whole hours from ``born`` to the ``hour`` of the week, of any shapes that go together."""
    age: npt.NDArray[np.int64] = (hour - born).astype(np.int64) % WEEK
    return age


def _by_age(simulator: Simulator, users: Users, slates: Slates, feedback: Floats) -> Floats | None:
    if simulator.born is None:
        return None
    wait = simulator.domain.hours_per_request
    hour = np.floor(users.clock[:, None] + wait * np.arange(-slates.shape[1], 0))
    age = hours_out(hour[:, :, None], simulator.born[slates])
    shown = np.bincount(age.ravel(), minlength=WEEK)
    total = np.bincount(age.ravel(), feedback.ravel(), minlength=WEEK)
    mean = feedback.mean()
    smoothed = (total + _SHRINK * mean) / (shown + _SHRINK)
    return (smoothed / max(mean, 1e-9)).astype(np.float32)


def item_features(catalog: Catalog, slates: Slates, feedback: Floats) -> Floats:
    """[N, C + 32] unit vectors of the items, from what everyone may read.

    Two halves of equal length: the item's topic shares, and its vector fitted on who took what
    (``driftrec.simulators.affinity.fit_affinity``). Either half alone makes a weaker
    ``DiscountedLinUCB``: on the built-in catalogue a little, on MovieLens, where genres say less,
    by a quarter and more.

    Args:
        catalog: the items.
        slates: [U, H, K] slates of the log.
        feedback: [U, H, K] graded feedback on them.
    """
    user, request, slot = np.nonzero(feedback)
    topics = unit(catalog.topics)
    if not len(user):
        return topics
    fitted = fit_affinity(
        user.astype(np.int64),
        slates[user, request, slot].astype(np.int64),
        feedback[user, request, slot].astype(np.float64),
        len(slates),
        len(catalog),
        _DIMENSIONS,
    )
    return unit(np.concatenate((topics, fitted.items), axis=1))
