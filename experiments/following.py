"""What agents show beside what users want, and what it makes of the users, request by request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from driftrec.simulators import unit

from .evaluate import EvaluationResult, Observation, run_sessions
from .worlds import make_batch

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Followed:
    """One agent's sessions with B users over T requests; nobody leaves.

    Attributes:
        result: what was shown and earned.
        cosine: [T, B] between the interest that the slate was made for and the one that the user
            acts upon. What a slate was made for is read off it, as the mean of its items' latent
            attributes less that of the catalogue: so all agents are measured alike, whatever they
            keep of a user, and a random slate has 0 on average.
        moved: [T, B] degrees between the user's taste at each request and at the first.
        observations: [T] what the agent saw at each request, from the second on with the newest
            slate alone; empty unless kept.
    """

    result: EvaluationResult = field(repr=False)
    cosine: Floats = field(repr=False)
    moved: Floats = field(repr=False)
    observations: tuple[Observation, ...] = field(repr=False)


def follow(
    make_agent: Any,
    env_id: str,
    users: int,
    seed: int,
    env_options: Mapping[str, Any],
    *,
    keep: bool = False,
) -> Followed:
    """Let an agent serve users to the horizon, and look at both sides.

    Args:
        make_agent: function from environment to agent.
        env_id: of one of this project's environments: others do not show their users' taste.
        users: B.
        seed: user i is the environment's user ``seed + i``.
        env_options: options of the environment.
        keep: whether to keep the observations.
    """
    env = make_batch(env_id, users, {**env_options, "leaving": False, "diagnostics": False})
    try:
        watched = _Watched(make_agent(env), env, keep)
        result = run_sessions(watched, env, seed, type(watched.agent).__name__, env_id)
    finally:
        env.close()
    return Followed(
        result, np.stack(watched.cosine), np.stack(watched.moved), tuple(watched.observations)
    )


class _Watched:
    """An agent whose every slate is held against the user's state."""

    def __init__(self, agent: Any, env: Any, keep: bool) -> None:
        self.agent, self.session, self.keep = agent, env.unwrapped.session, keep
        attributes = env.unwrapped.simulator.world.attributes
        self.attributes = attributes - attributes.mean(0)  # [N, D]
        self.cosine: list[Floats] = []
        self.moved: list[Floats] = []
        self.observations: list[Observation] = []

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        slates, state = self.agent.predict(observation, state, episode_start, deterministic=True)
        users = self.session.users
        aim = unit(self.attributes[slates].mean(1))
        self.cosine.append((aim * users.interest).sum(1))
        if not self.moved:
            self.first = users.taste.copy()
        alike = (self.first * users.taste).sum(1).clip(-1, 1)
        self.moved.append(np.degrees(np.arccos(alike)))
        if self.keep:
            self.observations.append(_kept(observation, whole=not self.observations))
        return slates, state


def _kept(observation: Observation, whole: bool) -> Observation:
    """A copy, with all slates or the newest alone."""
    new = slice(None) if whole else slice(-1, None)
    slated = ("slates", "feedback")
    return {k: np.array(v[:, new] if k in slated else v) for k, v in observation.items()}
