"""One user as a Gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from driftrec.simulators import Catalog

from .config import absolute, located, make_simulator
from .rendering import MODES, Viewer
from .session import Observation, Session
from .spaces import SlateSpace, observation_space

_ROW = np.zeros(1, np.int64)


class DriftEnv(gym.Env[dict[str, Any], np.ndarray]):
    """A user whose interests drift asks for slates of items.

    ## Description
    At every request the agent shows K items. The user takes one of them or none, grades it, and
    changes: the taste wanders, jumps, tires of topics (see ``driftrec.simulators.drift``). The
    taste is hidden; the agent sees what was shown and how it was received.

    ## Action Space
    ``MultiDiscrete([N] * K)``: K item ids. An id that stands in a slate twice, or is not
    available, fills its slot and is never taken. Ids outside the catalogue raise ``ValueError``.

    ## Observation Space
    | key | shape | bounds | meaning |
    |---|---|---|---|
    | ``slates`` | [H, K] int32 | -1 .. N - 1 | the last H slates, oldest first |
    | ``feedback`` | [H, K] float32 | 0 .. 1 | grade of each slot, 0 where it was not taken |
    | ``request`` | int | 0 .. R - 1 | what the user asks for, 0 for nothing in particular |
    | ``time`` | [4] float32 | -1 .. 1 | sine and cosine of hour of day and day of week |
    | ``available`` | [N] int8 | 0, 1 | only where items come and go |

    ## Rewards
    Grade of the item taken times its worth: 1 (plain), minutes watched (video).

    ## Starting State
    A new user who has lived through H slates of an earlier recommender.

    ## Episode End
    Terminated when the user leaves: patience falls with slates of which nothing was taken, or
    something that was soon put away. With ``leaving=False`` users stay all the same.
    Truncated after ``horizon`` requests.

    ## Information
    ``shift``: whether the long-term taste was replaced just now. ``left``: whether patience is used
    up. With ``diagnostics``: ``taste``
    [D], the interest acted upon at the next request; ``expected_reward`` of the slate shown;
    ``oracle_reward``, the largest that any slate could have had.

    ## Rendering
    ``ansi`` and ``rgb_array`` by ``render``; ``human`` in a window, or printed where there is no
    display: the true taste over topics, what the agent takes it to be (``show_interest``),
    satiation, the slate and what was taken.

    ## Arguments
    See ``make_simulator`` for ``slate_size``, ``history``, ``drift``, ``drift_strength``,
    ``catalog`` and ``world_seed``. ``domain`` is the id's own, or a TOML file, or a folder that
    ``driftrec fit`` wrote. ``diagnostics=False`` makes steps several times as fast.

    ## Version History
    v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  (Gymnasium's own name and type)
        "render_modes": list(MODES),
        "render_fps": 4,
    }

    def __init__(
        self,
        domain: str | Path = "plain",
        slate_size: int = 10,
        horizon: int = 100,
        history: int = 50,
        drift: str | None = None,
        drift_strength: float = 1.0,
        catalog: str | Path | None = None,
        world_seed: int = 0,
        diagnostics: bool = True,
        render_mode: str | None = None,
        leaving: bool = True,
    ) -> None:
        check_horizon(horizon)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            modes = ", ".join(self.metadata["render_modes"])
            raise ValueError(f"render_mode must be None or one of {modes}, got {render_mode!r}")
        self.render_mode = render_mode
        world = (
            located(domain),
            slate_size,
            history,
            drift,
            drift_strength,
            absolute(catalog),
            world_seed,
        )
        self.simulator = make_simulator(*world)
        self.slate_size, self.history, self.horizon = slate_size, history, horizon
        self.world_seed = world_seed
        self.observation_space = observation_space(self.simulator)
        self.action_space = SlateSpace(*world)
        self.session = Session(self.simulator, 1, horizon, diagnostics, leaving=leaving)
        self.viewer = None if render_mode is None else Viewer(self.simulator, horizon, render_mode)
        self._over = False

    @property
    def catalog(self) -> Catalog:
        """The items."""
        return self.simulator.world.catalog

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begins the first episode of ``seed``, or the next one of the seed before."""
        super().reset(seed=seed)
        if seed is None and self.session.users is None:
            seed = int(self.np_random.integers(2**31))
        if seed is not None:
            self.session.seed(_ROW, np.array([seed]))
        self.session.begin(_ROW)
        self._over = False
        if self.viewer and self.session.users:
            self.viewer.begin(self.session.users)
        return _first(self.session.observe()), _info(self.session.begin_info(_ROW))

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Shows a slate [K] to the user."""
        if self._over:
            raise ResetNeeded("the episode has ended: reset must be called before the next step")
        slate = np.asarray(action)
        if slate.ndim != 1:
            raise ValueError(f"action must have shape ({self.slate_size},), got {slate.shape}")
        moved = self.session.step(slate[None])
        reward, left, timed_out = moved.outcome.reward[0], moved.left[0], moved.timed_out[0]
        self._over = bool(left | timed_out)
        if self.viewer and self.session.users:
            self.viewer.see(moved.outcome, self.session.users, bool(left))
        observation, info = _first(self.session.observe()), _info(moved.info)
        return observation, float(reward), bool(left), bool(timed_out), info

    def show_interest(self, interest: npt.ArrayLike | None) -> None:
        """Tells the picture of the next step what the agent takes the interest to be.

        Args:
            interest: [C] weight of each topic, or [N] score of each item; None for nothing.
        """
        if self.viewer:
            self.viewer.tell(interest)

    def render(self) -> Any:
        """The last request, its slate and what was taken from it, in the way of ``render_mode``.

        Returns:
            Text ("ansi"), a picture [height, width, 3] uint8 ("rgb_array"), or None: "human" shows
            every step in a window by itself.

        Raises:
            ResetNeeded: before the first reset.
        """
        return self.viewer.frame() if self.viewer else None

    def close(self) -> None:
        """Closes the window of render_mode "human"."""
        if self.viewer:
            self.viewer.close()


def check_horizon(horizon: int) -> None:
    """Refuses a horizon that is no positive whole number."""
    if not isinstance(horizon, int) or horizon < 1:
        raise ValueError(f"horizon must be a whole number of at least 1, got {horizon!r}")


def _first(batch: Observation) -> dict[str, Any]:
    return {key: value[0] for key, value in batch.items()}


def _info(batch: Observation) -> dict[str, Any]:
    # Gymnasium batches Python's bool, not NumPy's, into a bool array.
    told = {name: bool(batch[name][0]) for name in ("shift", "left")}
    return {**_first(batch), **told}
