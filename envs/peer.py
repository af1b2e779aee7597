"""What environments of others share once they are vector environments of this project's kind.

A subclass shows slates to the peer's own users, one after the other in Python, as peers have no
batch; everything that agents and trainings read is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from driftrec.simulators import Catalog

from .session import Observation
from .spaces import check_slates

Floats = npt.NDArray[np.float32]
Slate = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Items:
    """The items, in the place of ``driftrec.simulators.World``."""

    catalog: Catalog
    request_text: tuple[str, ...] = ("",)


@dataclass(frozen=True, eq=False)
class PeerSimulator:
    """What agents ask of ``driftrec.simulators.Simulator``, of a peer's public side.

    There are no true utilities here for a privileged teacher, nor for the oracle and the Bayes
    filter.

    Attributes:
        domain: the id.
        world: the items.
        slate_size: K.
        history: H.
        horizon: steps until an episode is cut.
        worth: [N] reward per unit of feedback.
        log: gives the fields of ``driftrec.agents.features.PublicLog``.
        items_churn: whether observations say which items are to be had.
    """

    domain: str
    world: Items = field(repr=False)
    slate_size: int
    history: int
    horizon: int
    worth: Floats = field(repr=False)
    log: Callable[[], Mapping[str, Any]] = field(repr=False)
    items_churn: bool = False

    def public_log(self) -> Mapping[str, Any]:
        """The fields of ``driftrec.agents.features.PublicLog``."""
        return self.log()


@dataclass
class PeerSession:
    """Which episodes the rows are in, in the place of ``driftrec.envs.session.Session``.

    Attributes:
        simulator: the world.
        seeds: [B] of the rows.
        episodes: [B] how many episodes each seed has begun.
    """

    simulator: PeerSimulator = field(repr=False)
    seeds: npt.NDArray[np.int64]
    episodes: npt.NDArray[np.int64]

    def next_seed(self, row: int) -> int:
        """The peer's own seed of the row's next episode; of the first it is the row's."""
        seed, episode = int(self.seeds[row]), int(self.episodes[row])
        self.episodes[row] += 1
        if episode == 0:
            return seed
        return int(np.random.SeedSequence([seed, episode]).generate_state(1)[0])


class Answer(NamedTuple):
    """What a user's answer to a slate comes to: ``feedback`` [K] in [0, 1], and how it goes on."""

    feedback: Any
    reward: float
    left: bool = False
    timed_out: bool = False


class PeerVectorEnv(VectorEnv[Observation, npt.NDArray[Any], npt.NDArray[Any]]):
    """B users of a peer, with the observations, autoreset and infos of ``DriftVectorEnv``.

    Row i meets the peer's user of the seed ``seed + i``. An observation holds the slates and the
    feedback so far, nothing of the user's state.

    Args:
        simulator: the world.
        num_envs: B.

    Raises:
        ValueError: for a history below 1.
    """

    def __init__(self, simulator: PeerSimulator, num_envs: int) -> None:
        self.num_envs, self.render_mode, self.simulator = num_envs, None, simulator
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.slate_size, self.history = simulator.slate_size, simulator.history
        self.horizon, self.catalog = simulator.horizon, simulator.world.catalog
        num_items, shape = len(self.catalog), (self.history, self.slate_size)
        parts: dict[str, spaces.Space] = {
            "slates": spaces.Box(-1, num_items - 1, shape, np.int32),
            "feedback": spaces.Box(0, 1, shape, np.float32),
            "request": spaces.Discrete(1),
            "time": spaces.Box(-1, 1, (4,), np.float32),
        }
        if simulator.items_churn:
            parts["available"] = spaces.MultiBinary(num_items)
        self.single_observation_space = spaces.Dict(parts)
        slots = np.full(self.slate_size, num_items, np.int64)
        self.single_action_space = spaces.MultiDiscrete(slots)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        zero = np.zeros(num_envs, np.int64)
        self.session = PeerSession(simulator, zero, zero.copy())
        self._slates = np.full((num_envs, *shape), -1, np.int32)
        self._feedback = np.zeros((num_envs, *shape), np.float32)
        self._seeded = False

    # --- hooks ---------------------------------------------------------------------------------

    @abstractmethod
    def begin(self, row: int, seed: int) -> tuple[Any, Any] | None:
        """Begins an episode; the slate [K] and feedback [K] that come before it, or None."""

    @abstractmethod
    def show(self, row: int, slate: Slate) -> Answer:
        """Shows a slate [K] to the row's user."""

    def available(self, row: int) -> npt.NDArray[np.int8]:
        """[N] the row's items that are to be had now; asked for where ``items_churn``."""
        raise NotImplementedError

    def time(self) -> Floats:
        """[B, 4] the time of the request; 0 where the peer has no clock."""
        return np.zeros((self.num_envs, 4), np.float32)

    # --- Gymnasium -----------------------------------------------------------------------------

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
        self._begin(np.ones(self.num_envs, bool))
        return self._observe(), self._infos(np.zeros(self.num_envs, bool))

    def step(
        self, actions: npt.NDArray[Any]
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Shows slates [B, K]; returns observations, rewards [B], terminated, truncated, infos.

        Raises:
            ValueError: for slates that ``spaces.check_slates`` refuses.
        """
        slates = check_slates(actions, self.num_envs, self.simulator)  # type: ignore[arg-type]
        self._slates[:, :-1], self._feedback[:, :-1] = self._slates[:, 1:], self._feedback[:, 1:]
        left, timed_out = np.zeros((2, self.num_envs), bool)
        reward = np.zeros(self.num_envs)
        for row in range(self.num_envs):
            answer = self.show(row, slates[row])
            self._slates[row, -1], self._feedback[row, -1] = slates[row], answer.feedback
            reward[row], left[row], timed_out[row] = answer[1:]
        infos, ended = self._infos(left), left | timed_out
        if ended.any():
            infos |= self._final(ended, left)
            self._begin(ended)
            infos["left"] = left & ~ended
        return self._observe(), reward, left, timed_out, infos

    def _begin(self, rows: npt.NDArray[np.bool_]) -> None:
        self._slates[rows], self._feedback[rows] = -1, 0
        for row in np.flatnonzero(rows).tolist():
            before = self.begin(row, self.session.next_seed(row))
            if before is not None:
                self._slates[row, -1], self._feedback[row, -1] = before

    def _observe(self) -> Observation:
        observation: Observation = {
            "slates": self._slates.copy(),
            "feedback": self._feedback.copy(),
            "request": np.zeros(self.num_envs, np.int64),
            "time": self.time(),
        }
        if self.simulator.items_churn:
            every = range(self.num_envs)
            observation["available"] = np.stack([self.available(row) for row in every])
        return observation

    def _infos(self, left: npt.NDArray[np.bool_]) -> dict[str, Any]:
        none, every = np.zeros(self.num_envs, bool), np.ones(self.num_envs, bool)
        return {"shift": none, "_shift": every, "left": left.copy(), "_left": every.copy()}

    def _final(self, ended: npt.NDArray[np.bool_], left: npt.NDArray[np.bool_]) -> dict[str, Any]:
        final_obs, last = np.full(self.num_envs, None, object), self._observe()
        for row in np.flatnonzero(ended):
            final_obs[row] = {key: part[row] for key, part in last.items()}
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": self._infos(left),
            "_final_info": ended.copy(),
        }


def check_history(history: object) -> None:
    """Refuses a history that is no whole number of at least 1.

    Raises:
        ValueError: with what came.
    """
    if not isinstance(history, int) or history < 1:
        raise ValueError(f"history must be a whole number of at least 1, got {history!r}")
