"""From scores to slates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftrec.simulators import top_items
from driftrec.simulators.streams import Floats

_CANDIDATES = 200


def diverse_slates(
    scores: Floats, features: Floats, size: int, charge: Floats | float
) -> npt.NDArray[np.int64]:
    """[B, K] distinct items; slot after slot the largest score - charge * likeness.

    Likeness is the largest cosine with an item above. Source: Carbonell & Goldstein (1998), "The
    use of MMR, diversity-based reranking". Only the 200 best scores are candidates.

    Args:
        scores: [B, N].
        features: [N, F] unit rows.
        size: K.
        charge: one for all, or [B], in the unit of the scores.
    """
    candidates = top_items(scores, min(max(_CANDIDATES, size), scores.shape[1]))  # [B, M]
    value = np.take_along_axis(scores, candidates, 1)
    charge = np.broadcast_to(np.asarray(charge, np.float32), len(scores))
    slates = np.empty((len(scores), size), np.int64)
    for start in range(0, len(scores), 64):
        rows = slice(start, start + 64)
        x = features[candidates[rows]]  # [b, M, F]
        left, likeness = value[rows].copy(), np.full_like(value[rows], -1)
        users = np.arange(len(x))
        for slot in range(size):
            best = (left - charge[rows, None] * likeness).argmax(1)
            slates[rows, slot] = candidates[rows][users, best]
            left[users, best] = -np.inf
            cosine = np.matmul(x, x[users, best][:, :, None])[:, :, 0]
            likeness = np.maximum(likeness, cosine)
    return slates


def balanced_slates(
    scores: Floats, kinds: npt.NDArray[np.int32], size: int, charge: Floats | float
) -> npt.NDArray[np.int64]:
    """[B, K] distinct items; slot after slot the largest score - charge * (above of its kind).

    Args:
        scores: [B, N].
        kinds: [N] of the items.
        size: K.
        charge: one for all, or [B], in the unit of the scores.
    """
    rows, left = np.arange(len(scores)), scores.astype(np.float32)
    charge = np.broadcast_to(np.asarray(charge, np.float32), len(scores))[:, None]
    slates = np.empty((len(scores), size), np.int64)
    for slot in range(size):
        best = left.argmax(1)
        slates[:, slot] = best
        left -= charge * (kinds == kinds[best][:, None])
        left[rows, best] = -np.inf
    return slates
