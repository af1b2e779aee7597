"""What adds most to a slate, slot after slot: ``ExpectedReward`` where nothing is drawn, compiled.

The same arithmetic as in ``driftrec.agents.expected``, user by user, in one pass through the cache
of a core: a served request would spend most of its time on a hundred calls on small tensors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftrec.simulators.kernels import summing
from driftrec.simulators.streams import Floats

_ONE, _ZERO = np.float32(1), np.float32(0)
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
    places: npt.NDArray[np.int64],
) -> None:
    """Writes the places of what adds most, by the formula in ``ExpectedReward``.

    Args:
        share: [B, M] how likely each belief is.
        odds: [B, M, L] of taking an item rather than nothing.
        earns: [B, M, L] these times what the item then earns.
        left: [B, L] 0, or far below it where an item is not to be had; changed.
        vectors: [B, L, F] by which items are alike.
        position: log-odds that a slot has beyond the one above.
        charge: d, on likeness to an item above.
        least: gain below which items are told apart by less than its log.
        places: [B, K], written.
    """
    users, beliefs, count = odds.shape
    slots, size = places.shape[1], vectors.shape[2]
    gain, nearest = np.empty(count, np.float32), np.empty(count, np.float32)
    total, earned = np.empty(beliefs, np.float32), np.empty(beliefs, np.float32)
    for user in range(users):
        nearest[:], total[:], earned[:] = _ZERO, _ONE, _ZERO
        for slot in range(slots):
            looked_at = np.exp(np.float32(slot) * position)
            gain[:] = _ZERO
            for m in range(beliefs):
                mine, rate = share[user, m], earned[m] / total[m]
                base = total[m] / looked_at
                for j in range(count):
                    added = earns[user, m, j] - rate * odds[user, m, j]
                    gain[j] += mine * added / (base + odds[user, m, j])
            place, most = 0, -np.float32(np.inf)
            for j in range(count):
                worse = gain[j] <= gain[place] and nearest[j] >= nearest[place]
                if worse and j > 0 and left[user, j] <= left[user, place]:
                    continue  # no log is needed to see it
                value = _log(gain[j] / least) - charge * nearest[j] + left[user, j]
                if value > most:
                    place, most = j, value
            places[user, slot] = place
            left[user, place] = -np.float32(np.inf)
            for m in range(beliefs):
                total[m] += looked_at * odds[user, m, place]
                earned[m] += looked_at * earns[user, m, place]
            for j in range(count):
                alike = _ZERO
                for d in range(size):
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
