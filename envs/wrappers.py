"""Wrappers for algorithms that want plain spaces: one vector to see, one vector or number to act.

Each comes for a single environment and, with ``Vector`` in front, for the native batch; both share
the same arithmetic over a leading user axis.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorActionWrapper, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from driftrec.simulators import Catalog, top_items

from .session import Observation

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class FlatFeatures:
    """An observation as one vector of features in [-1, 1], for networks without embeddings.

    | part | size | meaning |
    |---|---|---|
    | shown | last * C | mean topic shares of each of the last slates, oldest first |
    | taken | last * C | topic shares of the item taken times its grade, 0 where none was |
    | request | R | one-hot |
    | time | 4 | as observed |

    Item ids are replaced by what the catalogue says of them; ``available`` is left out (its size
    is that of the catalogue).

    Args:
        env: a driftrec environment, single or vector.
        last: how many slates are looked back on, at most H; None for 10, or H if that is less.

    Raises:
        ValueError: if ``last`` is no whole number in [1, H].
    """

    def __init__(self, env: Any, last: int | None) -> None:
        simulator = env.unwrapped.simulator
        last = min(10, simulator.history) if last is None else last
        if not isinstance(last, int) or not 1 <= last <= simulator.history:
            raise ValueError(
                f"last must be a whole number in [1, {simulator.history}] (history), got {last!r}"
            )
        topics = simulator.world.catalog.topics
        # The last row stands for -1, no item.
        self._topics = np.concatenate((topics, np.zeros_like(topics[:1])))
        self._last, self._num_requests = last, len(simulator.world.request_text)
        size = 2 * last * topics.shape[1] + self._num_requests + 4
        self.space = spaces.Box(-1, 1, (size,), np.float32)

    def __call__(self, observation: Observation) -> Floats:
        """A batch of observations -> [B, F]."""
        slates = observation["slates"][:, -self._last :]
        feedback = observation["feedback"][:, -self._last :, None]  # [B, last, 1, K]
        topics = self._topics[slates]  # [B, last, K, C]
        request = np.eye(self._num_requests, dtype=np.float32)[observation["request"]]
        taken = (feedback @ topics)[:, :, 0]
        parts = (topics.mean(2), taken, request, observation["time"])
        return np.concatenate([part.reshape(len(slates), -1) for part in parts], axis=1)


class FlatObservation(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """One ``Box`` to see instead of a ``Dict``; see ``FlatFeatures``."""

    def __init__(self, env: gym.Env[Any, Any], last: int | None = None) -> None:
        RecordConstructorArgs.__init__(self, last=last)
        super().__init__(env)
        self._features = FlatFeatures(env, last)
        self.observation_space = self._features.space

    def observation(self, observation: dict[str, Any]) -> Floats:
        """[F]."""
        return self._features({key: np.asarray(part)[None] for key, part in observation.items()})[0]


class VectorFlatObservation(VectorWrapper[Any, Any, Any, Any, Any]):
    """``FlatObservation`` over the native batch; ``final_obs`` becomes flat too."""

    def __init__(self, env: VectorEnv[Any, Any, Any], last: int | None = None) -> None:
        super().__init__(env)
        self._features = FlatFeatures(env, last)
        self.single_observation_space = self._features.space
        self.observation_space = batch_space(self._features.space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """[B, F] and infos."""
        observation, infos = self.env.reset(seed=seed, options=options)
        return self._features(observation), infos

    def step(self, actions: Any) -> Any:
        """As the batch, observations [B, F]."""
        observation, reward, left, timed_out, infos = self.env.step(actions)
        for row in np.flatnonzero(infos.get("_final_obs", ())):
            last = {key: np.asarray(part)[None] for key, part in infos["final_obs"][row].items()}
            infos["final_obs"][row] = self._features(last)[0]
        return self._features(observation), reward, left, timed_out, infos


def item_features(catalog: Catalog) -> Floats:
    """[N, C + 2] topic shares, quality and log value, each column scaled to [-1, 1]."""
    columns = (catalog.topics, catalog.quality[:, None], np.log(catalog.value)[:, None])
    return _scaled(np.concatenate(columns, axis=1))


def _scaled(features: Floats) -> Floats:
    low, high = features.min(0), features.max(0)
    half = np.where(high > low, (high - low) / 2, 1)
    return ((features - (high + low) / 2) / half).astype(np.float32)


class NearestItems:
    """A point in [-1, 1]^F, the items' feature space -> the K available items nearest to it.

    Source: Dulac-Arnold et al. (2015), "Deep reinforcement learning in large discrete action
    spaces", the proto-action; here the K neighbours are the slate, nearest first.

    Args:
        env: a driftrec environment, single or vector.
        features: [N, F] of the items, scaled to [-1, 1] here; None for ``item_features``.

    Raises:
        ValueError: if ``features`` has not one finite row per item.
    """

    def __init__(self, env: Any, features: npt.ArrayLike | None) -> None:
        self._env = env.unwrapped
        catalog = self._env.catalog
        table = item_features(catalog) if features is None else np.asarray(features, np.float32)
        if table.ndim != 2 or len(table) != len(catalog) or not np.isfinite(table).all():
            raise ValueError(
                f"features must be finite and of shape ({len(catalog)}, F), got {table.shape}"
            )
        self._table = _scaled(table)
        self._norm = (self._table**2).sum(1)
        self.space = spaces.Box(-1, 1, table.shape[1:], np.float32)

    def __call__(self, points: npt.ArrayLike) -> Ints:
        """[B, F] -> slates [B, K]."""
        near = np.asarray(points, np.float32) @ self._table.T - self._norm / 2
        if self._env.simulator.items_churn and self._env.session.users is not None:
            available = self._env.simulator.available(self._env.session.users)
            near[available == 0] = -np.inf
        return top_items(near, self._env.slate_size)


class ProtoAction(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """A point of the items' feature space to act, for SAC and TD3; see ``NearestItems``."""

    def __init__(self, env: gym.Env[Any, Any], features: npt.ArrayLike | None = None) -> None:
        RecordConstructorArgs.__init__(self, features=features)
        super().__init__(env)
        self._nearest = NearestItems(env, features)
        self.action_space = self._nearest.space

    def action(self, action: npt.ArrayLike) -> Ints:
        """[F] -> slate [K]."""
        point = np.asarray(action, np.float32)
        if point.shape != self.action_space.shape or not np.isfinite(point).all():
            raise ValueError(
                f"action must be finite and of shape {self.action_space.shape}, got {point}"
            )
        return self._nearest(point[None])[0]


class VectorProtoAction(VectorActionWrapper[Any, Any, Any, Any]):
    """``ProtoAction`` over the native batch."""

    def __init__(
        self, env: VectorEnv[Any, Any, Any], features: npt.ArrayLike | None = None
    ) -> None:
        super().__init__(env)
        self._nearest = NearestItems(env, features)
        self.single_action_space = self._nearest.space
        self.action_space = batch_space(self._nearest.space, env.num_envs)

    def actions(self, actions: npt.ArrayLike) -> Ints:
        """[B, F] -> slates [B, K]."""
        points = np.asarray(actions, np.float32)
        if points.shape != self.action_space.shape or not np.isfinite(points).all():
            raise ValueError(
                f"actions must be finite and of shape {self.action_space.shape}, got {points}"
            )
        return self._nearest(points)


class SingleItem(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """One item id to act, for DQN.

    Raises:
        ValueError: unless the environment has slates of one item.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.action_space = _one_item(env)

    def action(self, action: Any) -> Ints:
        """Item id -> slate [1]."""
        return np.asarray(action).reshape(1)


class VectorSingleItem(VectorActionWrapper[Any, Any, Any, Any]):
    """``SingleItem`` over the native batch."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self.single_action_space = _one_item(env)
        self.action_space = batch_space(self.single_action_space, env.num_envs)

    def actions(self, actions: npt.ArrayLike) -> Ints:
        """[B] item ids -> slates [B, 1]."""
        return np.asarray(actions).reshape(-1, 1)


def _one_item(env: Any) -> spaces.Discrete:
    size = env.unwrapped.slate_size
    if size != 1:
        raise ValueError(f"slate_size must be 1 for an action of a single item, got {size}")
    return spaces.Discrete(len(env.unwrapped.catalog))
