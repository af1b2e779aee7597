"""Slates for a user of whom several things may be true."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Simulator, top_items
from driftrec.simulators.streams import Floats

Items = npt.NDArray[np.int64]
_MOST = np.float32(60)  # logits; exp of more overflows in sums of float32
_LOWEST, _HIGHEST, _STEPS = -20.0, 40.0, 6000  # logits, of the table of rewards


class Assortment:
    """Chooses slates with a large expected reward, when the user is one of M, equally likely.

    Under a mixture of M multinomial logits a slate for several things that may be true is as
    diverse as they are. Finding the best one is NP-hard already for M = 2 (Rusmevichientong,
    Shmoys, Tong & Topaloglu, 2014, "Assortment optimization under the multinomial logit model with
    random choice parameters"); here each slot in turn gets the item that adds most.

    Args:
        simulator: whose choice and response rule; another choice than the logit is taken for one.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.size, self._worth = simulator.slate_size, simulator.worth
        self._outside = np.float32(simulator.domain.choice.outside)
        self._position = np.float32(simulator.domain.choice.position)
        grid = np.linspace(_LOWEST, _HIGHEST, _STEPS + 1, dtype=np.float32)
        self._table = simulator.domain.response.expected_reward(grid, np.ones_like(grid))

    def shortlist(self, utility: Floats, available: npt.NDArray[np.bool_], count: int) -> Items:
        """[B, L] items, L = ``count``, that may stand in a good slate.

        Those that earn most when shown alone, and those that add most to a slate of these: half of
        the latter alone would be like one another.

        Args:
            utility: [B, M, N] in logits.
            available: [B, N] or [1, N].
            count: at least the size of a slate.
        """
        odds, reward = self._odds(utility), self._reward(utility) * self._worth
        earned = odds * reward
        alone = (earned / (1 + odds)).mean(1)
        alone[~np.broadcast_to(available, alone.shape)] = -np.inf
        first = top_items(alone, self.size)[:, None]
        total = 1 + np.take_along_axis(odds, first, 2).sum(2, keepdims=True)  # [B, M, 1]
        value = np.take_along_axis(earned, first, 2).sum(2, keepdims=True) / total
        earned -= value * odds
        earned /= total
        beside = earned.mean(1)
        beside[~np.broadcast_to(available, beside.shape)] = -np.inf
        likely = [top_items(score, min(count, alone.shape[1])) for score in (alone, beside)]
        rank = np.full(alone.shape, 2 * alone.shape[1], np.float32)
        for part, items in enumerate(likely):
            place = np.arange(items.shape[1], dtype=np.float32) * 2 + part
            old = np.take_along_axis(rank, items, 1)
            np.put_along_axis(rank, items, np.minimum(old, place), 1)
        return top_items(-rank, min(count, alone.shape[1]))

    def best(self, utility: Floats, items: Items) -> Items:
        """[B, K] slates of ``items`` [B, L], whose utilities are [B, M, L], best slot first."""
        odds = self._odds(utility)
        earns = odds * self._reward(utility) * self._worth[items][:, None]
        earned = np.zeros((*odds.shape[:2], 1), np.float32)
        total = np.ones_like(earned)
        taken = np.empty((len(odds), self.size), np.int64)
        rows, unused = np.arange(len(odds)), np.zeros(items.shape, np.float32)
        for slot in range(self.size):
            gain = earns + earned
            gain /= odds + total
            best = (gain.sum(1) + unused).argmax(1)
            taken[:, slot], unused[rows, best] = best, -np.inf
            earned += earns[rows, :, best][:, :, None]
            total += odds[rows, :, best][:, :, None]
            odds *= self._position
            earns *= self._position
        return np.take_along_axis(items, taken, 1)

    def _odds(self, utility: Floats) -> Floats:
        """Odds of taking an item rather than nothing."""
        odds = utility - self._outside
        np.minimum(odds, _MOST, out=odds)
        return np.exp(odds, out=odds)

    def _reward(self, utility: Floats) -> Floats:
        """Expected reward of an item taken, per unit of its worth: a table, for speed."""
        place = np.clip(utility, np.float32(_LOWEST), np.float32(_HIGHEST))
        place -= np.float32(_LOWEST)
        place *= np.float32(_STEPS / (_HIGHEST - _LOWEST))
        return np.take(self._table, place.astype(np.int32))
