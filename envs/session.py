"""The episodes of B users side by side: what the single and the vector environment share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from driftrec.simulators import Outcome, Simulator, Users
from driftrec.simulators.simulator import Mask

from .arrivals import Arrivals
from .buffers import Buffers
from .config import check_kind
from .spaces import check_slates, clock_features

Observation = dict[str, npt.NDArray[Any]]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_SPARE = 64  # slates that fit behind the history before it is moved to the front


@dataclass
class Transition:
    """What one step of B users gave: [B] each, and the outcome of the slates."""

    outcome: Outcome
    left: Bools
    timed_out: Bools
    info: dict[str, npt.NDArray[Any]]


class Session:
    """B users, each in an episode of its own, with their last H slates.

    The slates lie on a tape [B, H + spare, K]; the history is the window that ends at ``_end``, so
    a step writes one slate a user and moves nothing.

    Args:
        simulator: the world.
        num_users: B.
        horizon: steps until an episode is cut.
        diagnostics: whether ``info`` tells what no agent may see.
        copy: whether observations of all users are the caller's own; else they are views of what
            the session works with, good until its next step or reset.
        leaving: whether users whose patience is used up leave. Where they stay, all agents can be
            compared on the same users at every step.

    Raises:
        ValueError: for a flag that is neither True nor False.
    """

    def __init__(
        self,
        simulator: Simulator,
        num_users: int,
        horizon: int,
        diagnostics: bool,
        copy: bool = True,
        leaving: bool = True,
    ) -> None:
        for name, flag in (("diagnostics", diagnostics), ("copy", copy), ("leaving", leaving)):
            check_kind(name, flag, bool, "True or False")
        self.simulator, self.horizon, self.diagnostics = simulator, horizon, diagnostics
        self.num_users, self.copy, self.leaving = num_users, copy, leaving
        self.seeds = np.zeros(num_users, np.int64)
        self.episodes = np.zeros(num_users, np.int64)
        shape = (num_users, simulator.history + _SPARE, simulator.slate_size)
        self._slates = np.full(shape, -1, np.int32)
        self._feedback = np.zeros(shape, np.float32)
        self._own = {name: Buffers() for name in ("slates", "feedback", "available")}
        self._items = (num_users, len(simulator.world.catalog))
        if simulator.items_churn and not copy:
            self._available = np.empty(self._items, np.int8)
            self._hour = np.full(num_users, -1)  # of which each row of it is
        self._end = simulator.history
        self._arrivals = Arrivals(simulator, min(16 * num_users, 64))
        self.users: Users | None = None

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Nobody leaves within; afterwards users leave, or not, as they did before."""
        leaving, self.leaving = self.leaving, False
        try:
            yield
        finally:
            self.leaving = leaving

    def seed(self, rows: Ints, seeds: Ints) -> None:
        """Gives users their seeds; their next episodes are the first of these seeds."""
        self.seeds[rows] = seeds
        self.episodes[rows] = 0

    def begin(self, rows: Ints) -> None:
        """Begins the next episode of the users in ``rows``."""
        history = self.simulator.history
        users, slates, feedback = self._begun(rows)
        self.episodes[rows] += 1
        if self.users is None or len(rows) == self.num_users:
            self.users, self._end = users, history
        else:
            self.users.put(rows, users)
        window = slice(self._end - history, self._end)
        self._slates[rows, window] = slates
        self._feedback[rows, window] = feedback

    def _begun(self, rows: Ints) -> tuple[Users, npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        seeds, episodes = self.seeds[rows], self.episodes[rows]
        if self.users is None or not episodes.all():  # a seed may be for one episode only
            return self.simulator.start(seeds, episodes)
        due = list(zip(seeds.tolist(), episodes.tolist(), strict=True))
        return self._arrivals.begin(due, self._due_next())

    def _due_next(self) -> Iterator[tuple[int, int]]:
        """Seeds and numbers of the episodes to come, of the users with the least time left first.

        It runs out at the horizon, or with the patience.
        """
        assert self.users is not None
        slates = self.users.patience / np.float32(self.simulator.domain.patience.loss or 1)
        order = np.argsort(np.minimum(self.horizon - self.users.step, slates))
        seeds, episodes = self.seeds[order].tolist(), self.episodes[order].tolist()
        for further in count():
            for seed, episode in zip(seeds, episodes, strict=True):
                yield seed, episode + further

    def step(self, action: object) -> Transition:
        """One request of every user.

        Raises:
            ResetNeeded: before the first ``begin``.
            ValueError: for slates that ``spaces.check_slates`` refuses.
        """
        if self.users is None:
            raise ResetNeeded("reset must be called before step")
        slates = check_slates(action, self.num_users, self.simulator)
        info: dict[str, npt.NDArray[Any]] = {}
        if self.diagnostics:
            info["expected_reward"] = self.simulator.expected_reward(self.users, slates)
            info["oracle_reward"] = self.simulator.best_slate(self.users)[1]
        outcome, left = self.simulator.step(self.users, slates)
        info["left"] = left
        left = left.copy() if self.leaving else np.zeros_like(left)
        self._write(outcome)
        info["shift"] = self.users.shifted.copy()
        if self.diagnostics:
            info["taste"] = self.users.interest.copy()
        timed_out = (self.users.step >= self.horizon) & ~left
        return Transition(outcome, left, timed_out, info)

    def begin_info(self, rows: Ints) -> dict[str, npt.NDArray[Any]]:
        """The info of a reset, of the users in ``rows`` alone: [len(rows), ...]."""
        assert self.users is not None
        info: dict[str, npt.NDArray[Any]] = {
            "shift": np.zeros(len(rows), bool),
            "left": np.zeros(len(rows), bool),
        }
        if self.diagnostics:
            users = self.users.take(rows)
            info["taste"] = users.interest.copy()
            info["expected_reward"] = np.zeros(len(rows), np.float32)
            info["oracle_reward"] = self.simulator.best_slate(users)[1]
        return info

    def observe(self, rows: Ints | None = None) -> Observation:
        """The observations of all users or of those in ``rows``, in arrays as ``copy`` says."""
        assert self.users is not None
        window = slice(self._end - self.simulator.history, self._end)
        clock, request = self.users.clock, self.simulator.requests(self.users)
        if rows is not None:
            clock, request = clock[rows], request[rows]
            slates, feedback = self._slates[rows, window], self._feedback[rows, window]
        else:
            slates, feedback = self._slates[:, window], self._feedback[:, window]
            if self.copy:
                slates = self._own["slates"].copy(slates)
                feedback = self._own["feedback"].copy(feedback)
        observation: Observation = {
            "slates": slates,
            "feedback": feedback,
            "request": request,
            "time": clock_features(clock),
        }
        if self.simulator.items_churn:
            observation["available"] = self._available_to(clock, rows is None)
        return observation

    def _available_to(self, clock: npt.NDArray[np.float32], everybody: bool) -> Mask:
        if not everybody:
            return self.simulator.available_at(clock)
        if self.copy:
            own = self._own["available"].lend(self._items, np.int8)
            return self.simulator.available_at(clock, own)
        self.simulator.update_available(clock, self._available, self._hour)
        return self._available

    def _write(self, outcome: Outcome) -> None:
        if self._end == self._slates.shape[1]:
            history = self.simulator.history
            self._slates[:, :history] = self._slates[:, -history:].copy()
            self._feedback[:, :history] = self._feedback[:, -history:].copy()
            self._end = history
        self._slates[:, self._end] = outcome.slates
        outcome.write_feedback(self._feedback[:, self._end])
        self._end += 1
