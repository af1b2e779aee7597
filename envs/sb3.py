"""The native batch as a Stable-Baselines3 ``VecEnv``: no environment is copied in Python.

Kept out of ``driftrec.envs`` because Stable-Baselines3 imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorWrapper
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from .vector_env import DriftVectorEnv

_MADE_WITH = ("horizon", "slate_size", "history", "num_envs", "simulator", "session")


class BatchVecEnv(VecEnv):
    """``DriftVectorEnv`` with the calls that Stable-Baselines3 makes.

    Args:
        env: the batch, or a wrapper over it, with SAME_STEP autoreset (the default):
            Stable-Baselines3 expects the first observation of the next episode where one ends.

    Raises:
        ValueError: for another autoreset mode, or observations that later steps write over:
            Stable-Baselines3 learns from them when those steps have been taken.
    """

    def __init__(self, env: DriftVectorEnv | VectorWrapper[Any, Any, Any, Any, Any]) -> None:
        mode = env.metadata["autoreset_mode"]
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"env must have SAME_STEP autoreset, got {mode}")
        native = cast("DriftVectorEnv", env.unwrapped)
        if not getattr(native.session, "copy", True):  # users of others have no such choice
            raise ValueError("env must be made with copy=True to be learned from, got copy=False")
        self.env = env
        self.render_mode = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._episode_return = np.zeros(env.num_envs)
        self._episode_length = np.zeros(env.num_envs, np.int64)
        self._actions = np.zeros(0)

    def reset(self) -> VecEnvObs:
        """First observations of new episodes, of the seeds given by ``seed`` if any."""
        # VecEnv.seed(s) sets one seed a row, s + row; a native batch takes the first of them.
        observation, _ = self.env.reset(seed=self._seeds[0])
        self._reset_seeds()
        self._episode_return[:] = 0
        self._episode_length[:] = 0
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the slates [B, K] for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Observations, rewards [B], dones [B] and one info a row."""
        observation, reward, left, timed_out, batch = self.env.step(self._actions)
        done = left | timed_out
        self._episode_return += reward
        self._episode_length += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(done):
            infos[row] = {
                "TimeLimit.truncated": bool(timed_out[row]),
                "terminal_observation": batch["final_obs"][row],
                "episode": {
                    "r": float(self._episode_return[row]),
                    "l": int(self._episode_length[row]),
                    "t": 0.0,
                },
            }
        self._episode_return[done] = 0
        self._episode_length[done] = 0
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Closes the batch."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The batch's attribute, once a row."""
        value = self._find(attr_name)
        return [value for _ in self._get_indices(indices)]

    def _find(self, name: str) -> Any:
        return getattr(self.env if hasattr(self.env, name) else self.env.unwrapped, name)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the batch, for all rows at once, on whoever has it.

        Raises:
            ValueError: for some rows alone, or what an environment is made with.
        """
        if indices is not None:
            raise ValueError(f"indices must be None for a native batch, got {indices}")
        if attr_name in _MADE_WITH:
            raise ValueError(f"{attr_name} must be given when the environment is made")
        owner: Any = self.env if attr_name in vars(self.env) else self.env.unwrapped
        setattr(owner, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Calls a method of the batch, once in all; its answer is given once a row."""
        answer = self._find(method_name)(*method_args, **kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        """No row is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A batch draws nothing."""
        return [None] * self.num_envs
