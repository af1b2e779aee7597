"""Logged behaviour to pretrain on: of the simulator's own logging policy, or from records.

A log is read as the ``Episodes`` that learning knows. Nothing in it was drawn by the network: its
log-probabilities and values are 0, and it serves for pretraining only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from driftrec.envs.export import Episode
from driftrec.envs.spaces import clock_features

from .tape import Episodes, Teacher, played

Arrays = dict[str, npt.NDArray[Any]]


class Log(Protocol):
    """Where logged episodes come from."""

    def read(self, generator: np.random.Generator) -> Episodes:
        """Some episodes, as many as are played at once."""
        ...


class SimulatedLog:
    """What the simulator's logging policy shows, of which the warm-up is the beginning.

    Args:
        env: a ``BatchVecEnv``; every read plays one episode of each of its users.
        worth: [N] reward per unit of feedback.
    """

    def __init__(self, env: VecEnv, worth: Tensor) -> None:
        self.env, self.worth = env, worth

    def read(self, generator: np.random.Generator) -> Episodes:
        """One episode of every user; ``generator`` is not needed, users have their own streams."""
        session = self.env.get_attr("session")[0]

        def logged(_: dict[str, Tensor]) -> Tensor:
            return torch.as_tensor(session.simulator.logged_slates(session.users)).long()

        return played(self.env, self.worth, logged)


class RecordedLog:
    """Episodes that are there.

    Args:
        episodes: all of them.
        size: how many are read at once.
    """

    def __init__(self, episodes: Episodes, size: int) -> None:
        self.episodes, self.size = episodes, size

    def read(self, generator: np.random.Generator) -> Episodes:
        """Episodes drawn at random, none twice."""
        count = len(self.episodes.reward)
        rows = generator.permutation(count)[: self.size]
        return self.episodes.take(torch.as_tensor(rows))


# --- episodes of an environment, as ``driftrec.envs.export`` has them -----------------------------


def from_export(logged: Sequence[Episode]) -> Episodes:
    """Episodes with all that was observed; shorter ones are filled up and not learned from beyond.

    Raises:
        ValueError: if there is none, or they differ in history or slate.
    """
    if not logged:
        raise ValueError("logged must hold at least one episode, got none")
    shapes = {episode.observations["slates"].shape[1:] for episode in logged}
    if len(shapes) > 1:
        raise ValueError(f"logged must be of one history and slate size, got {sorted(shapes)}")
    steps = max(map(len, logged))
    rows = [_filled(_sequences(episode), steps - len(episode)) for episode in logged]
    return _episodes({name: np.stack([row[name] for row in rows]) for name in rows[0]})


def _sequences(episode: Episode) -> Arrays:
    """The parts of ``Episodes`` [H + T, ...] or [T, ...] that one episode gives."""
    seen, steps = episode.observations, len(episode)
    before = seen["slates"].shape[1] - 1  # requests of the history, which were not observed
    parts = {
        "slates": np.concatenate((seen["slates"][0], episode.slates)),
        "feedback": np.concatenate((seen["feedback"][0], seen["feedback"][1:, -1])),
        "request": np.concatenate((np.zeros(before, np.int64), seen["request"])),
        "time": np.concatenate((np.zeros((before, 4), np.float32), seen["time"])),
        "reward": episode.rewards,
        "alive": np.ones(steps),
    }
    if "available" in seen:
        parts["available"] = seen["available"][:steps] != 0
    return parts


def _filled(parts: Arrays, spare: int) -> Arrays:
    return {k: np.pad(v, [(0, spare)] + [(0, 0)] * (v.ndim - 1)) for k, v in parts.items()}


def _episodes(parts: Arrays, teacher: Teacher | None = None) -> Episodes:
    users, steps = parts["reward"].shape
    slots = parts["slates"].shape[2]
    available = parts.get("available")
    return Episodes(
        slates=torch.as_tensor(parts["slates"].astype(np.int64)),
        feedback=torch.as_tensor(parts["feedback"].astype(np.float32)),
        request=torch.as_tensor(parts["request"].astype(np.int64)),
        time=torch.as_tensor(parts["time"].astype(np.float32)),
        reward=torch.as_tensor(parts["reward"].astype(np.float32)),
        slot_reward=torch.zeros(users, steps, slots),
        alive=torch.as_tensor(parts["alive"].astype(np.float32)),
        log_probability=torch.zeros(users, steps, slots),
        value=torch.zeros(users, steps + 1),
        proto=torch.zeros(users, steps, 0),
        available=None if available is None else torch.as_tensor(available),
        teacher=teacher,
    )


# --- events: who took what, and nothing of what else was shown ------------------------------------


def from_events(
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    grade: npt.NDArray[np.float64],
    hours: npt.NDArray[np.float64],
    *,
    worth: npt.NDArray[np.float32],
    history: int,
    steps: int,
    slots: int,
) -> Episodes:
    """Episodes of ``steps`` events of a user each; an event is a slate of one item.

    What else was shown is not known, so that the likelihood is that of the next item among all:
    the item taken is what a teacher gives all of its probability.

    Args:
        user: [E] any numbers.
        item: [E] in [0, N).
        grade: [E] in [0, 1]; what got 0 is part of the history and not to be foretold.
        hours: [E] of each event, on a clock whose hour 0 is a Monday's midnight.
        worth: [N] reward per unit of feedback.
        history: H.
        steps: T.
        slots: K.

    Raises:
        ValueError: if there is no event.
    """
    if len(user) == 0:
        raise ValueError("user must hold at least one event, got none")
    order = np.lexsort((hours, user))
    user, item, grade, hours = user[order], item[order], grade[order], hours[order]
    first = np.flatnonzero(np.diff(user, prepend=user[0] - 1))  # of each user
    end = np.append(first[1:], len(user))
    start = np.concatenate([np.arange(a, b, steps) for a, b in zip(first, end, strict=True)])
    owner = np.searchsorted(first, start, side="right") - 1  # [W] whose window it is
    place = start[:, None] + np.arange(-history, steps)  # [W, H + T] in the events
    there = (place >= first[owner, None]) & (place < end[owner, None])
    place = np.where(there, place, 0)
    slates = np.full((*place.shape, slots), -1)
    slates[..., 0] = np.where(there, item[place], -1)
    feedback = np.zeros(slates.shape)
    feedback[..., 0] = np.where(there, grade[place], 0)
    # the request after a slate is the one at which the next event happened
    time = np.zeros((*place.shape, 4), np.float32)
    asked = hours[np.minimum(start[:, None] + np.arange(steps + 1), end[owner, None] - 1)]
    for step in range(steps + 1):
        time[:, history - 1 + step] = clock_features((asked[:, step] % 168).astype(np.float32))
    taken = slates[:, history:, :1].clip(0)
    graded = feedback[:, history:, 0]
    parts = {
        "slates": slates,
        "feedback": feedback,
        "request": np.zeros(place.shape),
        "time": time,
        "reward": graded * worth[taken[..., 0]],
        "alive": graded > 0,
    }
    return _episodes(
        parts,
        Teacher(torch.arange(taken.shape[1]), torch.as_tensor(taken), torch.ones(taken.shape)),
    )
