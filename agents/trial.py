"""A trial among users: how far slates are spread, and what it is worth that somebody stays."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

from driftrec.simulators.streams import Floats

from .head import Head

_ROUNDS = 2  # at least


class Trial:
    """Serves the same users under every combination of a head's settings, and keeps the best.

    What a charge or a user's stay is worth depends on how fast interests pass, how much one may
    be wrong, and who leaves: on the world, of which nobody says. A factorial experiment finds out
    (Fisher, 1935, "The design of experiments", ch. VI): each level of one setting is judged by the
    mean over all levels of the others, so that no user is served for one of them alone. By the
    interquartile mean of what users earn, those who leave included, as agents are scored: a few who
    spend much would decide the plain mean. Nothing else is seen of them.

    Rollout after rollout of all users has one combination; with the next round of all combinations
    come other users, and the order is turned round, so that who serves them may learn meanwhile.

    Args:
        head: whose ``settings`` are tried and set.
        session: the users, ``driftrec.envs.session.Session``.
        rollouts: how many there are at most.

    Attributes:
        rollouts: how many the trial takes: as many whole rounds as fit, or none where that is one,
            from which chance would choose (some 128 users, whose rewards differ by as much as they
            are).
    """

    def __init__(self, head: Head, session: Any, rollouts: int) -> None:
        self.head, self.session = head, session
        self._levels = list(head.settings.values())
        self._every = list(product(*map(range, map(len, self._levels))))
        rounds = rollouts // len(self._every) if head.settings else 0
        self.rollouts = rounds * len(self._every) if rounds >= _ROUNDS else 0
        self._now = self._every[0]
        self._earned: dict[tuple[int, ...], list[Floats]] = {place: [] for place in self._every}
        self._users: tuple[npt.NDArray[np.int64], ...] = ()

    def begin(self, number: int) -> None:
        """Puts the head's settings and the users where rollout ``number`` of the trial has them."""
        turn, place = divmod(number, len(self._every))
        if place == 0:
            self._users = self.session.seeds.copy(), self.session.episodes.copy()
        self.session.seeds[:], self.session.episodes[:] = self._users
        self._now = self._every[-1 - place if turn % 2 else place]
        self._set(self._now)

    def end(self, number: int, reward: Floats) -> None:
        """Notes what users [B] earned in rollout ``number``; after the last the best is set."""
        self._earned[self._now].append(reward)
        if number + 1 == self.rollouts:
            self._set(self._best())

    def _best(self) -> tuple[int, ...]:
        score = np.empty([len(level) for level in self._levels])
        for place, rewards in self._earned.items():
            score[place] = trim_mean(np.concatenate(rewards), 0.25)
        axes = range(score.ndim)
        return tuple(int(score.mean(tuple({*axes} - {axis})).argmax()) for axis in axes)

    def _set(self, place: tuple[int, ...]) -> None:
        levels = zip(self.head.settings.items(), place, strict=True)
        self.head.set({name: level[i] for (name, level), i in levels})
