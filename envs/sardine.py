"""Environments of SARDINE as a vector environment of this project's kind; needs ``sardine-rec``.

Kept out of ``driftrec.envs``, which needs nothing of others. SARDINE: Deffayet et al. (2024),
"SARDINE: Simulator for automated recommendation in dynamic and interactive environments". The
users are its own code, untouched: up to several clicks a slate, boredom with a topic of which too
much was clicked, and in the ``Inf`` ids a taste that clicks change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import sardine  # noqa: F401  (registers its ids)
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from driftrec.simulators import Catalog

from .session import Observation
from .spaces import check_slates

Floats = npt.NDArray[np.float32]
NAMESPACE = "sardine/"
_SAMPLE = 200  # users of the log, with as many random slates each as a history holds
_FIRST_SEED = 2**31  # theirs, far from the seeds of any training or evaluation


@dataclass(frozen=True)
class Items:
    """The items, in the place of ``driftrec.simulators.World``."""

    catalog: Catalog
    request_text: tuple[str, ...] = ("",)


@dataclass(frozen=True, eq=False)
class SardineSimulator:
    """What agents ask of ``driftrec.simulators.Simulator``, of SARDINE's public side.

    There are no true utilities here for a privileged teacher, nor for the oracle and the Bayes
    filter.

    Attributes:
        domain: the id.
        world: the items; topic shares are SARDINE's item embeddings, which its own agents get too
            (its wrapper ``TopK``), scaled to sum to 1.
        slate_size: K.
        history: H.
        horizon: steps of an episode.
        worth: [N] reward of a click.
    """

    domain: str
    world: Items = field(repr=False)
    slate_size: int
    history: int
    horizon: int
    worth: Floats = field(repr=False)
    items_churn: bool = False

    @classmethod
    def of(cls, env_id: str, history: int) -> SardineSimulator:
        """The world of an id."""
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
        return cls(env_id, Items(catalog), env.slate_size, history, env.H, catalog.value)

    def public_log(self) -> Mapping[str, Any]:
        """The fields of ``driftrec.agents.features.PublicLog``, from a few random slates."""
        clicks = _random_clicks(self.domain, self.history)  # [U, H, K]
        topics, mean = self.world.catalog.topics, float(clicks.mean())
        bias = np.full(len(topics), mean, np.float32)
        return {
            "features": topics / np.linalg.norm(topics, axis=1, keepdims=True),
            "bias": bias,
            "reward": bias,
            "position": (clicks.mean((0, 1)) / mean).astype(np.float32),
            "noise": float(clicks.std()),
        }


@dataclass
class SardineSession:
    """Which episodes the rows are in, in the place of ``driftrec.envs.session.Session``.

    Attributes:
        simulator: the world.
        seeds: [B] of the rows.
        episodes: [B] how many episodes each seed has begun.
    """

    simulator: SardineSimulator = field(repr=False)
    seeds: npt.NDArray[np.int64]
    episodes: npt.NDArray[np.int64]

    def next_seed(self, row: int) -> int:
        """SARDINE's own seed of the row's next episode; of the first it is the row's."""
        seed, episode = int(self.seeds[row]), int(self.episodes[row])
        self.episodes[row] += 1
        if episode == 0:
            return seed
        return int(np.random.SeedSequence([seed, episode]).generate_state(1)[0])


class SardineVectorEnv(VectorEnv[Observation, npt.NDArray[Any], npt.NDArray[Any]]):
    """B users of SARDINE, with the observations, autoreset and infos of ``DriftVectorEnv``.

    Row i is SARDINE's own environment after ``reset(seed=seed + i)``. An observation holds the
    slates and clicks so far, nothing of the user's state; the first slate is SARDINE's random one.
    Episodes end by truncation: SARDINE says ``terminated``, but what ends them is a time limit. An
    item that stands in a slate twice can be clicked twice, as in SARDINE.

    The users are stepped one after the other in Python, as SARDINE has no batch.

    Args:
        env_id: one of SARDINE's ids.
        num_envs: B.
        history: H, slates in an observation; those before the episode read -1.

    Raises:
        ValueError: for a history below 1.
    """

    def __init__(self, env_id: str, num_envs: int = 1, history: int = 20) -> None:
        if not isinstance(history, int) or history < 1:
            raise ValueError(f"history must be a whole number of at least 1, got {history!r}")
        self.num_envs, self.history, self.render_mode = num_envs, history, None
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.simulator = SardineSimulator.of(env_id, history)
        self.slate_size, self.horizon = self.simulator.slate_size, self.simulator.horizon
        self.catalog = self.simulator.world.catalog
        self.rows = [_make(env_id) for _ in range(num_envs)]
        num_items, shape = len(self.catalog), (history, self.slate_size)
        self.single_observation_space = spaces.Dict(
            {
                "slates": spaces.Box(-1, num_items - 1, shape, np.int32),
                "feedback": spaces.Box(0, 1, shape, np.float32),
                "request": spaces.Discrete(1),
                "time": spaces.Box(-1, 1, (4,), np.float32),
            }
        )
        slots = np.full(self.slate_size, num_items, np.int64)
        self.single_action_space = spaces.MultiDiscrete(slots)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        zero = np.zeros(num_envs, np.int64)
        self.session = SardineSession(self.simulator, zero, zero.copy())
        self._slates = np.full((num_envs, *shape), -1, np.int32)
        self._clicks = np.zeros((num_envs, *shape), np.float32)
        self._seeded = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins an episode of every user.

        Raises:
            ValueError: for a seed that is no number.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**31))
        if seed is not None:
            if not isinstance(seed, int | np.integer):
                raise ValueError(f"seed must be a whole number, got {seed!r}")
            self.session.seeds[:] = int(seed) + np.arange(self.num_envs)
            self.session.episodes[:] = 0
            self._seeded = True
        self._begin()
        return self._observe(), self._infos()

    def step(
        self, actions: npt.NDArray[Any]
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Shows slates [B, K]; returns observations, clicks [B], terminated, truncated, infos.

        Raises:
            ValueError: for slates that ``spaces.check_slates`` refuses.
        """
        slates = check_slates(actions, self.num_envs, self.simulator)  # type: ignore[arg-type]
        self._slates[:, :-1], self._clicks[:, :-1] = self._slates[:, 1:], self._clicks[:, 1:]
        ended = np.zeros(self.num_envs, bool)
        for row, env in enumerate(self.rows):
            seen, _, ended[row], _, _ = env.step(slates[row])
            self._slates[row, -1], self._clicks[row, -1] = slates[row], seen["clicks"]
        reward = self._clicks[:, -1].sum(1, dtype=np.float64)
        infos = self._infos()
        if ended.any():  # all at once: the horizon is the same
            infos |= self._final(ended)
            self._begin()
        return self._observe(), reward, np.zeros_like(ended), ended, infos

    def _begin(self) -> None:
        self._slates[:], self._clicks[:] = -1, 0
        for row, env in enumerate(self.rows):
            seen, _ = env.reset(seed=self.session.next_seed(row))
            self._slates[row, -1], self._clicks[row, -1] = seen["slate"], seen["clicks"]

    def _observe(self) -> Observation:
        return {
            "slates": self._slates.copy(),
            "feedback": self._clicks.copy(),
            "request": np.zeros(self.num_envs, np.int64),
            "time": np.zeros((self.num_envs, 4), np.float32),
        }

    def _infos(self) -> dict[str, Any]:
        none, all_rows = np.zeros(self.num_envs, bool), np.ones(self.num_envs, bool)
        return {"shift": none, "_shift": all_rows, "left": none.copy(), "_left": all_rows.copy()}

    def _final(self, ended: npt.NDArray[np.bool_]) -> dict[str, Any]:
        final_obs, last = np.full(self.num_envs, None, object), self._observe()
        for row in range(self.num_envs):
            final_obs[row] = {key: part[row] for key, part in last.items()}
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": self._infos(),
            "_final_info": ended.copy(),
        }


def _make(env_id: str) -> Any:
    return gym.make(env_id, disable_env_checker=True).unwrapped


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
