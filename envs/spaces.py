"""What an agent sees and does: the spaces of one user, and the check of a slate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from driftrec.simulators import Simulator
from driftrec.simulators.compiled import kernels

from .config import make_simulator

_PERIODS = np.array([24, 168], np.float32)  # hours of a day and of a week


def observation_space(simulator: Simulator) -> spaces.Dict:
    """The observation of one user.

    ``slates`` int32 [H, K]: the last H slates, oldest first, -1 for none. ``feedback`` float32
    [H, K] in [0, 1]: graded feedback, 0 where a slot was not taken. ``request`` int: 0 for a user
    who asks for nothing in particular. ``time`` float32 [4]: sine and cosine of the hour of the day
    and of the day of the week. ``available`` int8 [N], only where items come and go.
    """
    shape = (simulator.history, simulator.slate_size)
    num_items = len(simulator.world.catalog)
    parts: dict[str, spaces.Space] = {
        "slates": spaces.Box(-1, num_items - 1, shape, np.int32),
        "feedback": spaces.Box(0, 1, shape, np.float32),
        "request": spaces.Discrete(len(simulator.world.request_text)),
        "time": spaces.Box(-1, 1, (4,), np.float32),
    }
    if simulator.items_churn:
        parts["available"] = spaces.MultiBinary(num_items)
    return spaces.Dict(parts)


class SlateSpace(spaces.MultiDiscrete):
    """A slate of K item ids, in a space that knows which items they are.

    Stable-Baselines3 makes a policy from the spaces alone and saves them with it: ``simulator`` is
    how the policy finds the items, also where it is loaded without an environment.

    Args:
        *world: arguments of ``make_simulator``, in its order; they are what is pickled.
    """

    def __init__(self, *world: Any) -> None:
        self.world = world
        num_items = len(self.simulator.world.catalog)
        super().__init__(np.full(self.simulator.slate_size, num_items, np.int64))

    @property
    def simulator(self) -> Simulator:
        """The world; made anew where the process has not got it."""
        return make_simulator(*self.world)


def check_slates(slates: object, num_users: int, simulator: Simulator) -> npt.NDArray[np.int32]:
    """The action as an int32 array [B, K].

    Repeated and unavailable items are legal: they fill their slots and are never taken.

    Raises:
        ValueError: for a wrong shape, numbers that are not whole, or ids outside the catalogue.
    """
    array = np.asarray(slates)
    expected = (num_users, simulator.slate_size)
    if array.shape != expected:
        raise ValueError(f"action must have shape {expected} (users, slots), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"action must hold item ids of an integer type, got {array.dtype}")
    num_items, ids = len(simulator.world.catalog), np.empty(expected, np.int32)
    if not kernels.write_ids(ids, array.astype(np.int64, copy=False), num_items):
        bad = array[(array < 0) | (array >= num_items)].flat[0]
        raise ValueError(f"action must hold item ids in [0, {num_items - 1}], got {bad}")
    return ids


def clock_features(hours: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[B] hours on the world's clock -> [B, 4] sine and cosine of hour of day, day of week."""
    features: npt.NDArray[np.float32] = kernels.clock_hands(hours, _PERIODS)
    return features
