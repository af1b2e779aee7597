"""B users as one Gymnasium vector environment, without a Python loop over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from driftrec.simulators import Catalog

from .config import absolute, located, make_simulator
from .env import check_horizon
from .session import Observation, Session
from .spaces import SlateSpace, observation_space

Infos = dict[str, Any]


class DriftVectorEnv(VectorEnv[Observation, npt.NDArray[Any], npt.NDArray[Any]]):
    """``DriftEnv`` for B users at once; row i lives as a single one with seed + i, bit for bit.

    Autoreset is SAME_STEP unless asked otherwise: a row that ends returns the next user's first
    observation, and ``infos["final_obs"]`` holds the leaving user's last one: [B] objects, None
    where no episode ended. NEXT_STEP and DISABLED are as Gymnasium defines them.

    Args:
        num_envs: B.
        autoreset_mode: "SameStep", "NextStep" or "Disabled", or the ``AutoresetMode``.
        copy: whether observations are the caller's own, as in Gymnasium's ``SyncVectorEnv``. Else
            ``slates``, ``feedback`` and ``available`` are views of the environment's memory, good
            until its next ``step`` or ``reset`` and not to be written to: for whoever reads them
            at once.
        domain: and all others, see ``DriftEnv``.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  (Gymnasium's own name and type)
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        domain: str | Path = "plain",
        slate_size: int = 10,
        horizon: int = 100,
        history: int = 50,
        drift: str | None = None,
        drift_strength: float = 1.0,
        catalog: str | Path | None = None,
        world_seed: int = 0,
        diagnostics: bool = True,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        copy: bool = True,
        leaving: bool = True,
    ) -> None:
        check_horizon(horizon)
        if not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be a whole number of at least 1, got {num_envs!r}")
        if render_mode is not None:
            raise ValueError(
                f"render_mode must be None for a vector environment, got {render_mode!r}"
            )
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode = num_envs, None
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
        self.single_observation_space = observation_space(self.simulator)
        self.single_action_space = SlateSpace(*world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.session = Session(self.simulator, num_envs, horizon, diagnostics, copy, leaving)
        self._ended = np.zeros(num_envs, bool)
        self._all = np.arange(num_envs)

    @property
    def catalog(self) -> Catalog:
        """The items."""
        return self.simulator.world.catalog

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, Infos]:
        """Begins an episode of every user, or of those in ``options["reset_mask"]`` [B] bool."""
        rows = self._rows_to_reset(options)
        super().reset(seed=seed if isinstance(seed, int) else None)
        self._seed(rows, seed)
        self.session.begin(rows)
        self._ended[rows] = False
        return self.session.observe(), self._infos(self.session.begin_info(rows), rows)

    def step(
        self, actions: npt.NDArray[Any]
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], Infos]:
        """Shows slates [B, K]; returns observations, rewards [B], terminated, truncated, infos."""
        waiting = np.flatnonzero(self._ended)
        if self.autoreset_mode == AutoresetMode.DISABLED and len(waiting):
            raise ResetNeeded(
                f"rows {waiting[:5].tolist()} have ended: with autoreset disabled "
                'they must be reset, by options={"reset_mask": ...}, before the next step'
            )
        moved = self.session.step(actions)
        reward = moved.outcome.reward.astype(np.float64)
        left, timed_out, info = moved.left, moved.timed_out, moved.info
        if len(waiting):  # NEXT_STEP: these rows only begin their next episode
            self.session.begin(waiting)
            reward[waiting], left[waiting], timed_out[waiting] = 0, False, False
            _replace(info, waiting, self.session.begin_info(waiting))
        self._ended = left | timed_out
        final: Infos = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._ended.any():
            final = self._autoreset(info)
        infos = self._infos(info, self._all) | final
        return self.session.observe(), reward, left, timed_out, infos

    def _autoreset(self, info: dict[str, npt.NDArray[Any]]) -> Infos:
        """Begins the episodes that follow; returns what the ended ones ended with."""
        rows = np.flatnonzero(self._ended)
        last = self.session.observe(rows)
        final_obs = np.full(self.num_envs, None, object)
        for row, parts in zip(rows.tolist(), zip(*last.values(), strict=True), strict=True):
            final_obs[row] = dict(zip(last, parts, strict=True))
        final: Infos = {
            "final_obs": final_obs,
            "_final_obs": self._ended.copy(),
            "final_info": self._infos({key: value[rows] for key, value in info.items()}, rows),
            "_final_info": self._ended.copy(),
        }
        self.session.begin(rows)
        _replace(info, rows, self.session.begin_info(rows))
        self._ended = np.zeros(self.num_envs, bool)
        return final

    def _infos(self, info: dict[str, npt.NDArray[Any]], rows: npt.NDArray[np.int64]) -> Infos:
        """Gymnasium's form: arrays [B, ...], 0 outside ``rows``, and a mask [B] for each."""
        infos: Infos = {}
        mask = np.zeros(self.num_envs, bool)
        mask[rows] = True
        for key, value in info.items():
            infos[key] = value
            if len(rows) < self.num_envs:
                infos[key] = np.zeros((self.num_envs, *value.shape[1:]), value.dtype)
                infos[key][rows] = value
            infos[f"_{key}"] = mask.copy()
        return infos

    def _rows_to_reset(self, options: dict[str, Any] | None) -> npt.NDArray[np.int64]:
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return self._all
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != self._all.shape:
            raise ValueError(
                f"options['reset_mask'] must be a bool array of shape ({self.num_envs},), "
                f"got {mask!r}"
            )
        if not mask.any():
            raise ValueError("options['reset_mask'] must be true for at least one user, got none")
        if self.session.users is None and not mask.all():
            raise ValueError("options['reset_mask'] must be all true at the first reset")
        return np.flatnonzero(mask)

    def _seed(self, rows: npt.NDArray[np.int64], seed: int | Sequence[int | None] | None) -> None:
        if seed is None and self.session.users is None:
            seed = int(self.np_random.integers(2**31))
        if seed is None:
            return
        if isinstance(seed, int | np.integer):
            self.session.seed(rows, int(seed) + rows)
            return
        if len(seed) != self.num_envs:
            raise ValueError(
                f"seed must have one entry per user ({self.num_envs}), got {len(seed)}"
            )
        for entry in seed:
            if entry is not None and not (isinstance(entry, int | np.integer) and entry >= 0):
                raise ValueError(f"seed must hold whole numbers of at least 0, got {entry!r}")
        if self.session.users is None:  # who is not told a seed is somebody all the same
            self.session.seed(rows, int(self.np_random.integers(2**31)) + rows)
        given = np.array([i for i in rows if seed[i] is not None], np.int64)
        self.session.seed(given, np.array([seed[i] for i in given], np.int64))


def _replace(
    batch: dict[str, npt.NDArray[Any]],
    rows: npt.NDArray[np.int64],
    parts: dict[str, npt.NDArray[Any]],
) -> None:
    for key, value in parts.items():
        batch[key][rows] = value
