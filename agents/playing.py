"""Playing: whole episodes of all users at once, with the attention's cache, onto a tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from .logs import Log
from .policy import InterestAttentionPolicy
from .reading import Interest
from .tape import Episodes, Tape

_ASKED = 2  # of so many requests a teacher is asked one: neighbours are alike
_SHARPNESS = torch.tensor([1.0, 2.0, 4.0, 16.0])  # of pretraining's users, in turn


class Playing:
    """The part of ``EpisodeAlgorithm`` that fills ``episodes``."""

    policy: InterestAttentionPolicy
    env: Any
    episodes: Episodes | None
    log: Log | None
    worth: Tensor
    reward_scale: float
    num_timesteps: int
    pretrain_steps: int
    pretraining: bool
    begun: bool
    practice_steps: int
    on_fitted: Callable[[], None] | None
    privileged: bool
    sharpness: float
    tune_interest: bool
    fit_interest: Callable[[], None]
    practise: Callable[[], None]
    _shuffle: np.random.Generator
    _update_info_buffer: Callable[..., None]

    @property
    def session(self) -> Any:
        """The users of the environment, ``driftrec.envs.session.Session``."""
        assert self.env is not None
        return self.env.get_attr("session")[0]

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Plays one episode of every user; those who leave early wait, and are not learned from.

        A privileged teacher keeps them: a beginner would drive half of them away.
        """
        self.pretraining = self.num_timesteps < self.pretrain_steps
        if self.pretraining and not self.begun:
            self.fit_interest()
            if self.practice_steps > 0 and self.on_fitted is not None:
                self.on_fitted()
            with self._keeping():
                self.practise()
        self.begun = True
        callback.on_rollout_start()  # what has learned from answers alone is validated first
        self.policy.set_training_mode(False)
        self.policy.network.sharpness.fill_(1.0 if self.pretraining else self.sharpness)
        if self.pretraining and self.log is not None:
            return self._read_log(self.log, callback)
        with self._keeping():
            if not self._play(env, callback):
                return False
        callback.on_rollout_end()
        return True

    def _keeping(self) -> AbstractContextManager[None]:
        """Within which nobody leaves, while the privileged pretrain."""
        return self.session.staying() if self.privileged and self.pretraining else nullcontext()

    def _read_log(self, log: Log, callback: BaseCallback) -> bool:
        """Takes episodes of others in place of playing."""
        self.episodes = log.read(self._shuffle)
        if not self.tune_interest:
            self.episodes.interest = self._followed(self.episodes)
        self.num_timesteps += self.episodes.reward.numel()
        callback.update_locals(locals())
        if not callback.on_step():
            return False
        callback.on_rollout_end()
        return True

    def _play(self, env: VecEnv, callback: BaseCallback) -> bool:
        """One episode of every user, into ``episodes``; false where the callback ends training."""
        horizon = int(env.get_attr("horizon")[0])
        tape = Tape(env.reset(), horizon, self.worth)
        loyalty = self.policy.network_config.loyalty * self.reward_scale
        memory, sharp = None, torch.ones(1)
        if self.pretraining:
            sharp = _SHARPNESS[torch.arange(env.num_envs) % len(_SHARPNESS)][:, None]
        for step in range(horizon):
            if self.privileged and self.pretraining and step % _ASKED == 0:
                tape.ask_teacher(step, self.session, loyalty)
            with torch.no_grad():
                output, memory = self.policy.advance(tape.observation, memory, None)
                draw = self.policy.network.head.draw(output, self.policy.slots, sharp)
            observation, reward, done, infos = env.step(draw.slates.numpy())
            self.num_timesteps += env.num_envs
            tape.record(step, draw, output, observation, reward, done, infos)
            self._update_info_buffer(infos, done)
            callback.update_locals(locals())
            if not callback.on_step():
                return False
        with torch.no_grad():
            last, _ = self.policy.advance(tape.observation, memory, None)
            self.episodes = tape.finish(last.value[:, 0])
            if not self.tune_interest:
                self.episodes.interest = self._followed(self.episodes, tape.interest)
        return True

    def _followed(self, episodes: Episodes, played: Sequence[Interest] = ()) -> Interest:
        """The dynamic interest after each slate but the last, of which ``played`` is the end."""
        before = episodes.slates.shape[1] - 1 - len(played)
        if before == 0:
            return played[0].then(*played[1:])
        names = ("slates", "feedback", "request", "time")
        seen = (getattr(episodes, name)[:, :before] for name in names)
        with torch.no_grad():
            return self.policy.network.follow(*seen).then(*played)
