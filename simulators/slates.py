"""The best slates, where the utilities of all items are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .streams import Floats
from .users import Ints

if TYPE_CHECKING:
    from .simulator import Simulator


def best_slates(
    simulator: Simulator, utility: Floats, rounds: int = 4, loyalty: float = 0.0
) -> npt.NDArray[np.int32]:
    """[B, K] slates with the largest expected reward, given all utilities [B, N].

    With ``loyalty`` in the sense of ``Simulator.best_slate``.
    """
    gain = slate_gain(simulator, utility, rounds, loyalty)
    return top_items(gain, simulator.slate_size).astype(np.int32)


def slate_gain(
    simulator: Simulator,
    utility: Floats,
    rounds: int = 4,
    loyalty: float = 0.0,
    attained: float = 1.0,
) -> Floats:
    """[B, N] v_j (r_j - z): odds of an item times its reward less the best slate's own.

    The K largest make the best slate; an item that earns less than that slate takes more away than
    it brings. ``attained`` is the share of that z to be reckoned with; others as ``best_slates``.
    """
    outside, size = simulator.domain.choice.outside, simulator.slate_size
    weight = np.exp(np.minimum(utility - np.float32(outside), np.float32(60)))
    reward = _reward_and_loyalty(simulator, utility, loyalty)
    seen = np.float32(simulator.domain.choice.position) ** np.arange(size, dtype=np.float32)
    gain = weight * reward
    for _ in range(rounds - 1):
        slates = top_items(gain, size)
        chosen = np.take_along_axis(weight, slates, 1) * seen
        earned = (chosen * np.take_along_axis(reward, slates, 1)).sum(1)
        value = (earned / (1 + chosen.sum(1)))[:, None]
        gain = weight * (reward - np.float32(attained) * value)
    return gain


def _reward_and_loyalty(simulator: Simulator, utility: Floats, loyalty: float) -> Floats:
    """[B, N] what each item earns if taken, with ``loyalty`` as in ``Simulator.best_slate``."""
    response = simulator.domain.response
    reward = response.expected_reward(utility, simulator.worth)
    if loyalty == 0:
        return reward
    return reward + np.float32(loyalty) * response.expected_grade(utility)


def top_items(scores: Floats, count: int) -> Ints:
    """[B, count] indices of the largest ``scores`` [B, N], best first."""
    top = (
        np.argpartition(scores, -count, axis=1)[:, -count:]
        if count < scores.shape[1]
        else (np.broadcast_to(np.arange(scores.shape[1]), scores.shape))
    )
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)
