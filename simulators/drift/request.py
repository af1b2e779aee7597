"""Request chain: what users type, which sometimes tells what they are after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np

from ..compiled import bonuses, draws
from ..response import Outcome
from ..streams import Draw, Floats
from ..users import Ints, Users, project
from ..world import Indices, World
from .base import Drift, pick


@dataclass(frozen=True)
class RequestChain(Drift):
    """A sticky Markov chain of requests; one that names a topic lifts its items by ``weight``.

    With probability 1 - 2^(-1 / half_life) per request the user asks anew: with probability
    ``reveal`` for the topic of the session, in one of that topic's texts drawn uniformly, else for
    nothing in particular (request 0). Without a session interest the topic is drawn in proportion
    to exp(focus <taste, c_k>). A request may outlive the session it came from.

    Attributes:
        half_life: requests until half of the users have asked anew.
        reveal: probability that what is asked names the topic.
        weight: utility of the items of the topic asked for, in logits.
        focus: how strongly taste decides on the topic, where there is no session.
    """

    name: ClassVar[str] = "request"
    half_life: float = 3.0
    reveal: float = 0.4
    weight: float = 1.0
    focus: float = 4.0

    def scaled(self, strength: float) -> Self:  # noqa: D102
        return self._slower(strength, "half_life")

    def lanes(self, world: World) -> int:  # noqa: D102
        return 4

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        rows, steps = np.arange(len(users)), len(past) // len(users)
        uniform = draw.extra(rows, self.name, 4 * steps).reshape(-1, 4)
        request, topic = np.zeros(len(past), np.int32), self._topic(past, uniform, world)
        draws.ask(request, uniform, 1.0, self.reveal, topic, texts(world))
        anew = uniform[:, 0].reshape(-1, steps) < self.hazard(self.half_life)
        asked = np.maximum.accumulate(np.where(anew, np.arange(steps), 0), axis=1)
        chain = np.take_along_axis(request.reshape(-1, steps), asked, axis=1)
        past.state[self.name], users.state[self.name] = chain.reshape(-1), chain[:, -1].copy()

    def topic_utility(self, world: World, users: Users, bonus: Floats) -> None:  # noqa: D102
        request = users.state[self.name]
        bonuses.add_to_topic(bonus, world.request_topic, request, self.weight)

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        uniform, request = draw[self.name], users.state[self.name]
        topic, hazard = self._topic(users, uniform, world), self.hazard(self.half_life)
        draws.ask(request, uniform, hazard, self.reveal, topic, texts(world))

    def likelihood(self, world: World, request: Ints) -> Floats:
        """[B, C] probability of asking for ``request`` [B] anew, by the topic asked for."""
        _, _, count = texts(world)
        some = np.where(count > 0, np.float32(self.reveal), np.float32(0))
        names = world.request_topic[request][:, None] == np.arange(len(count))
        named = names * some / np.maximum(count, 1).astype(np.float32)
        return np.where((request == 0)[:, None], 1 - some, named)

    def _topic(self, users: Users, uniform: Floats, world: World) -> Indices:
        """[B] what the users are after, drawn by the last of ``uniform`` [B, 4] if need be."""
        session = users.state.get("session")
        if session is not None:
            return session
        pull = np.float32(self.focus) * project(users.taste, world.centers)
        return pick(np.exp(pull), uniform[:, 3]).astype(np.int32)


@lru_cache(maxsize=16)
def texts(world: World) -> tuple[Indices, Indices, Indices]:
    """[R] requests sorted by topic, [C] where each topic's begin and [C] how many it has."""
    order = np.argsort(world.request_topic, kind="stable").astype(np.int32)
    topics = np.arange(len(world.centers) + 1)
    first = np.searchsorted(world.request_topic[order], topics).astype(np.int32)
    return order, first[:-1], np.diff(first)
