"""A trial among users: how far slates are spread, and what it is worth that somebody stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from driftrec.simulators.streams import Floats

from .head import Head


def try_settings(head: Head, session: Any, earned: Callable[[], Floats]) -> dict[str, float]:
    """Serves the same users under every combination of the head's settings, and keeps the best.

    What a charge or a user's stay is worth depends on how fast interests pass, how much one may
    be wrong, and who leaves: on the world, of which nobody says. A factorial experiment finds out
    (Fisher, 1935, "The design of experiments", ch. VI): each level of one setting is judged by the
    mean over all levels of the others, so that no user is served for one of them alone. By the
    interquartile mean of what users earn, those who leave included, as agents are scored: a few who
    spend much would decide the plain mean. Nothing else is seen of them.

    Args:
        head: whose ``settings`` are tried and set.
        session: the users, ``driftrec.envs.session.Session``; the same ones answer each time.
        earned: plays one episode of each of them, for its reward [B].

    Returns:
        The level that each setting now has.
    """
    names, levels = list(head.settings), list(head.settings.values())
    if not names:
        return {}
    seeds, episodes = session.seeds.copy(), session.episodes.copy()
    reward = np.empty([len(level) for level in levels])
    for place in np.ndindex(reward.shape):
        session.seeds[:], session.episodes[:] = seeds, episodes
        head.set(
            dict(
                zip(names, (level[i] for level, i in zip(levels, place, strict=True)), strict=True)
            )
        )
        reward[place] = trim_mean(earned(), 0.25)
    best = {}
    for axis, name in enumerate(names):
        others = tuple(a for a in range(reward.ndim) if a != axis)
        best[name] = head.settings[name][int(reward.mean(others).argmax())]
    head.set(best)
    return best
