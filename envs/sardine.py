"""Environments of SARDINE as a vector environment of this project's kind; needs ``sardine-rec``.

Kept out of ``driftrec.envs``, which needs nothing of others. SARDINE: Deffayet et al. (2024),
"SARDINE: Simulator for automated recommendation in dynamic and interactive environments". The
users are its own code, untouched: up to several clicks a slate, boredom with a topic of which too
much was clicked, and in the ``Inf`` ids a taste that clicks change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
import sardine  # noqa: F401  (registers its ids)

from driftrec.simulators import Catalog

from .peer import Answer, Floats, Items, PeerSimulator, PeerVectorEnv, Slate, check_history

NAMESPACE = "sardine/"
_SAMPLE = 200  # users of the log, with as many random slates each as a history holds
_FIRST_SEED = 2**31  # theirs, far from the seeds of any training or evaluation


class SardineVectorEnv(PeerVectorEnv):
    """B users of SARDINE.

    Row i is SARDINE's own environment after ``reset(seed=seed + i)``; the first slate of an
    observation is SARDINE's random one. Episodes end by truncation: SARDINE says ``terminated``,
    but what ends them is a time limit. An item that stands in a slate twice can be clicked twice,
    as in SARDINE.

    Args:
        env_id: one of SARDINE's ids.
        num_envs: B.
        history: H, slates in an observation; those before the episode read -1.

    Raises:
        ValueError: for a history below 1.
    """

    def __init__(self, env_id: str, num_envs: int = 1, history: int = 20) -> None:
        check_history(history)
        self.rows = [_make(env_id) for _ in range(num_envs)]
        super().__init__(_simulator(env_id, history), num_envs)

    def begin(self, row: int, seed: int) -> tuple[Any, Any]:  # noqa: D102
        seen, _ = self.rows[row].reset(seed=seed)
        return seen["slate"], seen["clicks"]

    def show(self, row: int, slate: Slate) -> Answer:  # noqa: D102
        seen, _, over, _, _ = self.rows[row].step(slate)
        clicks = seen["clicks"]
        return Answer(clicks, float(np.sum(clicks)), timed_out=over)


def _make(env_id: str) -> Any:
    return gym.make(env_id, disable_env_checker=True).unwrapped


def _simulator(env_id: str, history: int) -> PeerSimulator:
    """The world of an id.

    Topic shares are SARDINE's item embeddings, which its own agents get too (its wrapper ``TopK``),
    scaled to sum to 1; a click is worth 1.
    """
    env = _make(env_id)
    vectors = np.asarray(env.item_embedd, np.float32)
    number = range(len(vectors))
    catalog = Catalog(
        name=env_id,
        ids=tuple(str(i) for i in number),
        title=tuple(f"item {i}" for i in number),
        description=("",) * len(vectors),
        topics=vectors / vectors.sum(1, keepdims=True),
        topic_names=tuple(f"topic {i}" for i in range(vectors.shape[1])),
        value=np.ones(len(vectors), np.float32),
        quality=np.zeros(len(vectors), np.float32),
    )
    log = partial(_log, env_id, history, catalog)
    return PeerSimulator(env_id, Items(catalog), env.slate_size, history, env.H, catalog.value, log)


def _log(env_id: str, history: int, catalog: Catalog) -> Mapping[str, Any]:
    """The fields of ``driftrec.agents.features.PublicLog``, from a few random slates."""
    clicks = _random_clicks(env_id, history)  # [U, H, K]
    topics, mean = catalog.topics, float(clicks.mean())
    bias = np.full(len(topics), mean, np.float32)
    return {
        "features": topics / np.linalg.norm(topics, axis=1, keepdims=True),
        "bias": bias,
        "reward": bias,
        "position": (clicks.mean((0, 1)) / mean).astype(np.float32),
        "noise": float(clicks.std()),
    }


@cache
def _random_clicks(env_id: str, history: int) -> Floats:
    """[U, H, K] clicks on random slates, of users that nobody else meets."""
    env, rng = _make(env_id), np.random.default_rng(0)
    clicks = np.zeros((_SAMPLE, history, env.slate_size), np.float32)
    for user in range(_SAMPLE):
        env.reset(seed=_FIRST_SEED + user)
        for step in range(history):
            slate = rng.integers(env.num_items, size=env.slate_size)
            clicks[user, step] = env.step(slate)[0]["clicks"]
    return clicks
