"""Slates by what adds most to them, slot after slot: ``ExpectedReward``, compiled.

The same arithmetic as in ``driftrec.agents.expected``, user by user, in one pass through the cache
of a core: a served request would spend most of its time on a hundred calls on small tensors, and a
rollout a quarter of its.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftrec.simulators.kernels import summing
from driftrec.simulators.streams import Floats

_ONE, _ZERO, _NEVER = np.float32(1), np.float32(0), np.float32(-np.inf)
DEEP = 15.0  # from where on log softplus(-x) is -x, and softplus(x) is x


@summing
def fill_slates(
    share: Floats,
    odds: Floats,
    earns: Floats,
    left: Floats,
    vectors: Floats,
    position: np.float32,
    charge: np.float32,
    least: np.float32,
    sharp: Floats,
    level: Floats,
    places: npt.NDArray[np.int64],
    log_odds: Floats,
    total_odds: Floats,
) -> None:
    """Writes the places of items by their log-odds in ``ExpectedReward``.

    Args:
        share: [B, M] how likely each belief is.
        odds: [B, M, L] of taking an item rather than nothing.
        earns: [B, M, L] these times what the item then earns.
        left: [B, L] 0, or far below it where an item is not to be had; changed.
        vectors: [B, L, F] by which items are alike.
        position: log-odds that a slot has beyond the one above.
        charge: d, on likeness to an item above.
        least: gain below which items are told apart by less than its log.
        sharp: [B] what log-odds are scaled by.
        level: [B, K] uniform in (0, 1]: a slot is filled where the sum of shares gets there;
            0: by the highest.
        places: [B, K], written.
        log_odds: [B, K] of what a slot is filled with, written.
        total_odds: [B, K] log of the sum of all odds for it, written where one is drawn.
    """
    users, beliefs, count = odds.shape
    value, nearest = np.empty(count, np.float32), np.empty(count, np.float32)
    total, earned = np.empty(beliefs, np.float32), np.empty(beliefs, np.float32)
    for user in range(users):
        nearest[:], total[:], earned[:] = _ZERO, _ONE, _ZERO
        for slot in range(places.shape[1]):
            looked_at = np.exp(np.float32(slot) * position)
            value[:] = _ZERO
            for m in range(beliefs):
                mine, rate = share[user, m], earned[m] / total[m]
                base = total[m] / looked_at
                for j in range(count):
                    added = earns[user, m, j] - rate * odds[user, m, j]
                    value[j] += mine * added / (base + odds[user, m, j])
            place = 0
            for j in range(count):
                spread = _log(value[j] / least) - charge * nearest[j]
                value[j] = sharp[user] * spread + left[user, j]
                if value[j] > value[place]:
                    place = j
            if level[user, slot] > _ZERO:
                most, whole, running = value[place], 0.0, 0.0
                for j in range(count):
                    whole += np.exp(value[j] - most)
                total_odds[user, slot] = most + np.log(whole)
                for j in range(count):
                    running += np.exp(value[j] - most)
                    if running >= level[user, slot] * whole:
                        place = j
                        break
            places[user, slot], log_odds[user, slot] = place, value[place]
            left[user, place] = _NEVER
            for m in range(beliefs):
                total[m] += looked_at * odds[user, m, place]
                earned[m] += looked_at * earns[user, m, place]
            for j in range(count):
                alike = _ZERO
                for d in range(vectors.shape[2]):
                    alike += vectors[user, j, d] * vectors[user, place, d]
                nearest[j] = max(nearest[j], alike)


@summing
def _log(part: np.float32) -> np.float32:
    """The log of a gain of any sign, as in ``expected``."""
    if part < -DEEP:
        return part
    if part > DEEP:
        return np.log(part)
    return np.log(np.log1p(np.exp(part)))
