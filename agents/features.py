"""What a platform's own log says about its items: the vectors that all agents share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from driftrec.simulators import Catalog, Simulator, unit
from driftrec.simulators.streams import Floats

_FIRST_SEED = 2**40  # far from the seeds of any training or evaluation
_SHRINK = 50.0  # impressions of the average item that are added to each item's own


@dataclass(frozen=True)
class PublicLog:
    """Statistics of a log of other users under the platform's earlier recommender.

    Attributes:
        features: [N, F] unit rows, items that please the same users lie close together.
        bias: [N] mean graded feedback per impression, drawn towards the mean of all.
        position: [K] mean graded feedback of each slot over that of all slots.
    """

    features: Floats
    bias: Floats
    position: Floats


@lru_cache(maxsize=8)
def public_log(simulator: Simulator, dimensions: int = 32, requests: int = 200_000) -> PublicLog:
    """Simulates the log and reads it.

    Args:
        simulator: the world whose logging policy is run; it holds no user.
        dimensions: of the vectors fitted on the log.
        requests: size of the log.
    """
    num_users = int(np.clip(requests // simulator.history, 500, 20_000))
    seeds = _FIRST_SEED + np.arange(num_users)
    _, slates, feedback = simulator.start(seeds, np.zeros(num_users, np.int64))
    num_items = len(simulator.world.catalog)
    shown = np.bincount(slates.ravel(), minlength=num_items)
    graded = np.bincount(slates.ravel(), feedback.ravel(), minlength=num_items)
    mean = feedback.mean()
    bias = (graded + _SHRINK * mean) / (shown + _SHRINK)
    users = np.repeat(np.arange(num_users), slates[0].size)
    surprise = feedback.ravel() - bias[slates.ravel()]
    matrix = csr_matrix((surprise, (users, slates.ravel())), shape=(num_users, num_items))
    return PublicLog(
        features=item_features(simulator.world.catalog, matrix, dimensions),
        bias=bias.astype(np.float32),
        position=(feedback.mean((0, 1)) / max(mean, 1e-9)).astype(np.float32),
    )


def item_features(catalog: Catalog, surprise: csr_matrix, dimensions: int) -> Floats:
    """[N, C + F] unit vectors: topics beside what the log says.

    Two halves of equal length: the item's topic shares, and its part in the leading ``dimensions``
    singular vectors of the users' feedback less what the population gives, weighted by the root of
    the singular values.
    """
    rank = min(dimensions, min(surprise.shape) - 1)
    start = np.random.default_rng(0).standard_normal(min(surprise.shape))
    _, size, items = svds(surprise.astype(np.float64), k=rank, v0=start)
    learned = unit((items.T * np.sqrt(size)).astype(np.float32))
    return unit(np.concatenate((unit(catalog.topics), learned), axis=1))
