"""Beginnings of episodes, warmed up a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from driftrec.simulators import Simulator, Users
from driftrec.simulators.simulator import Slates
from driftrec.simulators.streams import Floats

Episode = tuple[int, int]  # a seed, and how many episodes it has begun before
Begun = tuple[Users, Slates, Floats]


class Arrivals:
    """Users who are ready before they are due: to warm up a few costs nearly as much as many.

    Who begins an episode follows from its seed and its number alone, so it does not matter when
    they are made, nor what has happened since.

    Args:
        simulator: the world.
        places: how many users wait at most.
    """

    def __init__(self, simulator: Simulator, places: int) -> None:
        self._simulator, self._places = simulator, places
        self._ready: dict[Episode, int] = {}  # the place of each user who waits
        self._waiting: Begun | None = None

    def begin(self, episodes: Sequence[Episode], likely: Iterable[Episode]) -> Begun:
        """What ``Simulator.start`` gives for ``episodes``.

        Args:
            episodes: those that begin now.
            likely: those that may begin next, the likeliest first.
        """
        if len(episodes) > self._places // 2:
            return self._start(episodes)
        if not all(episode in self._ready for episode in episodes):
            self._prepare(episodes, likely)
        assert self._waiting is not None
        users, slates, feedback = self._waiting
        places = np.array([self._ready[episode] for episode in episodes])
        for episode in set(episodes):  # the same seed may be given to several
            del self._ready[episode]
        return users.take(places), slates[places], feedback[places]

    def _prepare(self, episodes: Sequence[Episode], likely: Iterable[Episode]) -> None:
        """Fills the free places; if few are free, those of whom the foresight was wrong as well."""
        if len(self._ready) > self._places // 2:
            self._ready.clear()
        due = dict.fromkeys(episodes) | dict.fromkeys(islice(likely, 2 * self._places))
        free = sorted(set(range(self._places)) - set(self._ready.values()))
        comers = list(islice((e for e in due if e not in self._ready), len(free)))
        places = np.array(free[: len(comers)])
        self._ready |= dict(zip(comers, places.tolist(), strict=True))
        begun = self._start(comers)
        if self._waiting is None:
            rows = np.arange(self._places) % len(comers)
            self._waiting = begun[0].take(rows), begun[1][rows], begun[2][rows]
        users, slates, feedback = self._waiting
        users.put(places, begun[0])
        slates[places], feedback[places] = begun[1:]

    def _start(self, episodes: Sequence[Episode]) -> Begun:
        seed, number = np.array(episodes, np.int64).T
        return self._simulator.start(seed, number)
