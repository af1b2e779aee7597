"""Beliefs about users as particles, and how particles are drawn anew."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Users, unit
from driftrec.simulators.streams import Floats

Arrays = dict[str, npt.NDArray[Any]]
_FIELDS = tuple(f.name for f in fields(Users) if f.name != "state")


@dataclass
class Belief:
    """What is thought of B users: P particles each, and per particle the session's topic.

    Attributes:
        users: [B * P] guesses at the user's state, those of one user side by side.
        weight: [B, P] probability of each, rows sum to 1.
        topics: [B, P, C] probability of each session topic, given the particle; C = 1 in a world
            without sessions.
    """

    users: Users
    weight: Floats
    topics: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """(B, P)."""
        return self.weight.shape[0], self.weight.shape[1]

    def arrays(self) -> Arrays:
        """Everything as arrays [B, P, ...] by name."""
        own = {f"user_{name}": getattr(self.users, name) for name in _FIELDS}
        own |= {f"state_{name}": value for name, value in self.users.state.items()}
        grouped = {n: v.reshape(*self.shape, *v.shape[1:]) for n, v in own.items()}
        return {**grouped, "weight": self.weight, "topics": self.topics}

    @classmethod
    def of(cls, arrays: Arrays) -> Belief:
        """The belief whose ``arrays`` these are; it holds copies."""
        flat = {n: v.reshape(-1, *v.shape[2:]).copy() for n, v in arrays.items()}
        own = {name: flat[f"user_{name}"] for name in _FIELDS}
        state = {n.removeprefix("state_"): v for n, v in flat.items() if n.startswith("state_")}
        return cls(Users(**own, state=state), arrays["weight"].copy(), arrays["topics"].copy())

    def reweigh(self, evidence: Floats) -> None:
        """Multiplies the weights by ``evidence`` [B, P], known up to a factor per user."""
        # A floor, so that particles which all find an answer impossible keep their weights.
        evidence = np.maximum(evidence, np.float32(1e-30))
        weight = self.weight * (evidence / evidence.max(1, keepdims=True))
        self.weight = weight / weight.sum(1, keepdims=True)

    def degenerate(self) -> npt.NDArray[np.int64]:
        """The users whose effective number of particles, 1 / sum w^2, is below half of P."""
        return np.flatnonzero(2 / (self.weight**2).sum(1) < self.weight.shape[1])

    def draw(self, rows: npt.NDArray[np.int64], start: Floats) -> npt.NDArray[np.int64]:
        """Draws the particles of the users in ``rows`` anew, by their weights.

        Args:
            rows: [R].
            start: [R, 1] uniform numbers.

        Returns:
            [R * P] their places in ``users``.
        """
        size = self.weight.shape[1]
        chosen = systematic(self.weight[rows], start, size)  # [R, P]
        places = (rows[:, None] * size + np.arange(size)).ravel()
        copies = self.users.take((rows[:, None] * size + chosen).ravel())
        copies.key = self.users.key[places]  # from here on copies go ways of their own
        self.users.put(places, copies)
        self.topics[rows] = np.take_along_axis(self.topics[rows], chosen[:, :, None], 1)
        self.weight[rows] = np.float32(1 / size)
        return places


def systematic(weight: Floats, start: Floats, count: int) -> npt.NDArray[np.int64]:
    """[R, count] indices drawn by ``weight`` [R, n] with one uniform number [R, 1] a row, in order.

    Source: Kitagawa (1996), "Monte Carlo filter and smoother for non-Gaussian nonlinear state space
    models", appendix.
    """
    total = np.cumsum(weight, axis=1, dtype=np.float64)
    total /= total[:, -1:]
    row = np.arange(len(weight))[:, None]
    points = (np.arange(count) + start.astype(np.float64)) / count
    # Rows laid end to end, each in an interval of its own: one search for all.
    found = np.searchsorted((total + row).ravel(), (points + row).ravel(), side="right")
    found = found.reshape(points.shape) - row * weight.shape[1]
    return np.minimum(found, weight.shape[1] - 1)


def spread_out(vectors: Floats, size: float, noise: Floats) -> Floats:
    """[R, P, D] unit vectors, moved by ``size`` times their own spread.

    The kernel of a regularised particle filter (Musso, Oudjane & Le Gland, 2001, "Improving
    regularised particle filters"): copies of one particle must differ to find what lies between.

    Args:
        vectors: [R, P, D].
        size: standard deviation of the kernel, in those of the vectors.
        noise: [R, P, D] standard normal.
    """
    variance = ((vectors - vectors.mean(1, keepdims=True)) ** 2).mean((1, 2), keepdims=True)
    return unit(vectors + np.float32(size) * np.sqrt(variance) * noise)


def weekly_hours(time: Floats) -> Floats:
    """[B, 4] features of the time, as observed -> [B] hours since the week began."""
    turn = np.arctan2(time[:, 2], time[:, 3]) / np.float32(2 * np.pi)
    return np.mod(turn, np.float32(1)) * np.float32(168)
