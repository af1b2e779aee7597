"""Session interest: what a user is after just now, moving along a graph of topics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np

from ..compiled import bonuses, draws
from ..response import Outcome
from ..streams import Draw, Floats
from ..users import Users, project
from ..world import World
from .base import Drift, pick

_SESSIONS = 8  # sessions at most within the warm-up


@dataclass(frozen=True)
class SessionInterest(Drift):
    """Interest acted upon = unit(u + weight c_z), z the topic of the session.

    With probability 1 - 2^(-1 / half_life) per request, and after a grade of ``ends_at`` or more
    (an intent ends with the purchase), z moves: to one of its two successors with
    probability ``following``, else to a topic drawn in proportion to exp(focus <a, c_k>). Real logs
    put the half-life of this part at 10-40 events.

    Attributes:
        half_life: requests until half of the sessions have ended.
        weight: length of the session's part beside the taste's 1.
        following: probability that the next topic is a successor of the present one.
        focus: how strongly a user's own taste decides on a topic that is no successor.
        ends_at: grade that ends a session at once, such as 1 for a purchase; inf for none.
    """

    name: ClassVar[str] = "session"
    half_life: float = 20.0
    weight: float = 0.9
    following: float = 0.7
    focus: float = 4.0
    ends_at: float = np.inf

    def scaled(self, strength: float) -> Self:  # noqa: D102
        slower = self._slower(strength, "half_life")
        return slower if strength > 0 else replace(slower, ends_at=np.inf)

    def lanes(self, world: World) -> int:  # noqa: D102
        return 3

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:  # noqa: D102
        rows, steps = np.arange(len(users)), len(past) // len(users)
        uniform = draw.extra(rows, self.name, steps + 2 * _SESSIONS)
        ends = uniform[:, :steps] < self.hazard(self.half_life)
        number = np.minimum(np.cumsum(ends, axis=1), _SESSIONS - 1)  # [B, H]
        drawn = uniform[:, steps:].reshape(len(users), _SESSIONS, 2)
        drawn = np.ascontiguousarray(drawn.transpose(1, 2, 0))  # [sessions, 2, B]
        drawn[0, 1] = drawn[0, 0]  # no topic comes before the first
        chain = pick(self._own_topics(world, users.anchor), drawn[:, 1]).astype(np.int32)
        draws.follow(chain, drawn[1:], self.following, world.successors)
        topics = np.take_along_axis(chain.T, number, axis=1)
        past.state["session"] = topics.reshape(-1)
        users.state["session"] = topics[:, -1].copy()

    def tilt(self, world: World, users: Users, interest: Floats) -> None:  # noqa: D102
        bonuses.add_rows(interest, _pulls(world, self.weight), users.state["session"])

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:  # noqa: D102
        uniform = draw[self.name]
        rows = (uniform[:, 0] < self.ending(outcome.grade)).nonzero()[0]
        if len(rows):
            session = users.state["session"]
            own = self._own_topics(world, users.anchor.take(rows, axis=0))
            draws.move_on(session, rows, uniform, own, self.following, world.successors)

    def own_topics(self, affinity: Floats) -> Floats:
        """[..., C] <a, c_k> of users -> [..., C] probability of the topics they come up with."""
        weight = np.exp(np.float32(self.focus) * affinity)
        return weight / weight.sum(-1, keepdims=True)

    def transition(self, world: World, belief: Floats, own: Floats, ending: Floats) -> Floats:
        """The law of ``move``: [B, P, C] probability of each topic, one request later.

        Args:
            world: what users share.
            belief: [B, P, C] probability of each topic now, of P guesses at each user.
            own: [B, P, C] ``own_topics`` of the same guesses.
            ending: [B] probability that the session ends.
        """
        moved = np.matmul(belief, _graph(world))
        moved -= own
        moved *= np.float32(self.following)
        moved += own  # where a session that ends goes
        moved -= belief
        moved *= ending[:, None, None]
        moved += belief
        return moved

    def ending(self, grade: Floats) -> Floats:
        """[B] probability that the session ends after an answer of these grades [B]."""
        hazard = self.hazard(self.half_life)
        if self.ends_at == np.inf:
            return np.full(len(grade), hazard)
        return np.where(grade >= np.float32(self.ends_at), np.float32(1), hazard)

    def _own_topics(self, world: World, anchor: Floats) -> Floats:
        return np.exp(np.float32(self.focus) * project(anchor, world.centers))


@lru_cache(maxsize=16)
def _pulls(world: World, weight: float) -> Floats:
    """[C, D] what a session in each topic adds to the interest."""
    return np.float32(weight) * world.centers


@lru_cache(maxsize=16)
def _graph(world: World) -> Floats:
    """[C, C] probability that each topic is followed by each other one, where one follows."""
    graph = np.zeros((len(world.centers), len(world.centers)), np.float32)
    for branch in world.successors.T:
        graph[np.arange(len(graph)), branch] += np.float32(0.5)
    return graph
