"""The Bayes filter: recommends on the exact law of drift, without sight of the state."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Outcome, Simulator, Users, unit
from driftrec.simulators.streams import Floats

from .agent import Agent, AgentConfig, Slates, State, check_range, user_streams
from .assortment import Assortment
from .observation import Observation
from .particles import Belief, systematic
from .platform import attribute
from .search import Range, Space
from .tracker import Tracker

_BLOCK = 8  # users whose [K, P, C] utilities fit the cache
_OWN = ("key", "step")  # of the state, what is not the belief's


@dataclass(frozen=True)
class FilterConfig(AgentConfig):
    """Options of ``BayesFilter``.

    Attributes:
        particles: guesses kept of each user.
        samples: how many of these a slate is chosen for.
        shortlist: items among which a slate is chosen.
        hazard: probability per request at which particles try an abrupt shift.
        jitter: noise on particles that are drawn anew, as a share of their spread.
    """

    particles: int = 192
    samples: int = 64
    shortlist: int = 60
    hazard: float = 0.05
    jitter: float = 0.2

    def __post_init__(self) -> None:
        for name in ("particles", "samples", "shortlist"):
            check_range(name, getattr(self, name), 1)
        check_range("hazard", self.hazard, 0, 0.5)
        check_range("jitter", self.jitter, 0)


class BayesFilter(Agent):
    """The slate with the largest expected reward now, given all that was observed.

    Privileged: knows the simulator's law, that is its domain and world, and not the state of a
    user. Looks one request ahead, as ``Oracle`` does.
    """

    Config: ClassVar[type[AgentConfig]] = FilterConfig
    search: ClassVar[Space] = {
        "hazard": Range(0.005, 0.2, log=True),
        "jitter": Range(0.05, 0.6),
    }
    config: FilterConfig

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        super().__init__(env, config)
        self._simulator: Simulator = attribute(env, "simulator")
        self._assortment = Assortment(self._simulator)
        own = self.config
        self._tracker = Tracker(self._simulator, own.particles, own.hazard, own.jitter)

    def begin(self, observation: Observation) -> State:  # noqa: D102
        key = user_streams(observation, self.config.seed)
        parts = [
            self._tracker.begin(key[rows], _pick(observation, rows)).arrays()
            for rows in _blocks(len(key))
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def update(self, state: State, observation: Observation) -> State:  # noqa: D102
        newest = observation["slates"][:, -1], observation["feedback"][:, -1]
        outcome = self._tracker.outcome(*newest)
        moved = {n: np.empty_like(v) for n, v in state.items() if n not in _OWN}
        for rows in _blocks(len(newest[0])):
            belief = self._belief(state, rows)
            part = Outcome(*(getattr(outcome, f.name)[rows] for f in fields(Outcome)))
            self._tracker.update(belief, part, _pick(observation, rows))
            for name, value in belief.arrays().items():
                moved[name][rows] = value
        return moved

    def act(self, state: State, observation: Observation) -> Floats:
        """Not used: the best slate is no set of the best items."""
        raise NotImplementedError

    def choose(  # noqa: D102
        self, state: State, observation: Observation, deterministic: bool
    ) -> Slates:
        everything = np.arange(self.platform.num_items)
        size, slates = max(self.config.shortlist, self.platform.slate_size), []
        for rows in _blocks(len(state["key"])):
            samples = self._sample(state, rows)
            num = len(samples) // self.config.samples
            few = samples.take(self._quarter(num))
            utility = self._utility(few, np.broadcast_to(everything, (num, len(everything))))
            mask = _pick(observation, rows).get("available", np.ones((num, 1)))
            items = self._assortment.shortlist(utility, mask > 0, size)
            slates.append(self._assortment.best(self._utility(samples, items), items))
        return np.concatenate(slates)

    def _quarter(self, num: int) -> npt.NDArray[np.int64]:
        """Every fourth of the samples of ``num`` users: they tell what comes into question."""
        count = self.config.samples
        return (np.arange(num)[:, None] * count + np.arange(0, count, 4)).ravel()

    def _belief(self, state: State, rows: slice) -> Belief:
        return Belief.of({n: v[rows] for n, v in state.items() if n not in _OWN})

    def _sample(self, state: State, rows: slice) -> Users:
        """[B * M] draws from each belief, with a session topic each, sorted by it."""
        belief, count = self._belief(state, rows), self.config.samples
        num, size = belief.shape
        # Topics outermost: systematic sampling then gives each topic its share of the draws.
        joint = (belief.topics * belief.weight[:, :, None]).transpose(0, 2, 1).reshape(num, -1)
        cell = systematic(joint, self.uniform(_pick(state, rows), 1), count)  # [B, M]
        place = np.arange(num)[:, None] * size + cell % size
        users = belief.users.take(place.ravel())
        session = self._tracker.centers[(cell // size).ravel()]
        users.interest[:] = unit(self._tracker.interest(users) + session)
        return users

    def _utility(self, users: Users, items: npt.NDArray[np.int64]) -> Floats:
        """[B, M, L] utility of the items [B, L] to B * M users."""
        features, num = self._simulator.features, len(items)
        query = users.query.reshape(num, -1, features.shape[1])
        if items.strides[0] == 0:
            utility = np.matmul(query, features[items[0]].T)
            shown = np.broadcast_to(items[0].astype(np.int32), (len(users), items.shape[1]))
        else:
            utility = np.matmul(query, features[items].transpose(0, 2, 1))
            shown = np.repeat(items.astype(np.int32), query.shape[1], 0)
        self._simulator.add_bonuses(users, shown, utility.reshape(shown.shape))
        return utility


def _blocks(num_users: int) -> list[slice]:
    return [slice(i, i + _BLOCK) for i in range(0, num_users, _BLOCK)]


def _pick(arrays: dict[str, npt.NDArray[Any]], rows: slice) -> dict[str, npt.NDArray[Any]]:
    return {name: value[rows] for name, value in arrays.items()}
