"""Learning on whole episodes: what PPO and REINFORCE share.

Stable-Baselines3 shows a policy one observation at a time, so a recurrent or attentive policy reads
its history again at every step of every epoch. Here an episode is played with the attention's cache
(one token a step) and learned from in one causal pass. Saving, loading, logging and callbacks are
Stable-Baselines3's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from .guarantee import PrivateFitConfig
from .logfit import Behaviour
from .logs import Log
from .optimizer import set_rate
from .output import Output
from .playing import Playing
from .policy import InterestAttentionPolicy
from .pretraining import Pretraining
from .search import Choice, Range, Space
from .tape import Episodes


class EpisodeAlgorithm(Playing, Pretraining, OnPolicyAlgorithm):
    """Plays whole episodes and learns from them; a subclass says how in ``learn_from``.

    Args:
        env: a ``BatchVecEnv``.
        policy_kwargs: of ``InterestAttentionPolicy``.
        learning_rate: of reinforcement learning, see ``current_rate``.
        episode_batch: episodes per gradient step.
        gamma: discount per step.
        gae_lambda: of generalised advantage estimation.
        ent_coef: weight of the entropy bonus; slates are drawn, so there is spread without one.
        vf_coef: weight of the value loss.
        max_grad_norm: gradients are scaled down to this norm.
        pretrain_steps: user-steps of pretraining before reinforcement learning begins.
        pretrain_rate: learning rate of pretraining on choices; six times as much beside a teacher,
            who says more.
        pretrain_epochs: passes over the episodes of one rollout in pretraining.
        log_passes: passes over the platform's log on which the interest is fitted before
            (``driftrec.agents.logfit``).
        log_users: of that log that are read, as far as it has so many; None: one for every 8 steps
            of pretraining. More are better, and a fit is made once (``driftrec.agents.kept``).
        practice_steps: user-steps that follow that fit, in whole episodes, in which users are shown
            the best that the interest knows and it learns from their answers
            (``driftrec.agents.practice``). They are not counted among the steps of ``learn``, and
            are a part of pretraining: without ``pretrain_steps`` there are none.
        trial: whether in the latter half of practice it is tried how far to spread slates and what
            it is worth that a user stays (``driftrec.agents.trial``), where that holds sixteen
            rollouts. Else these begin where ``diversity`` and ``loyalty`` say, as where one of them
            is given (``make_learner``).
        epsilon: to fit the interest by differentially private steps that spend no more than this
            (``driftrec.agents.privatefit``); None for the plain fit.
        delta: probability with which that may fail; None: a tenth of one over the users.
        tune_interest: whether what is learned later is learned through the interest's own law as
            well; else that stays as fitted, and no gradient runs back through time.
        privileged: whether pretraining is told the users' true utilities (possible in a simulator
            only), or sees logged feedback alone.
        several: whether pretraining on feedback takes the slots of a slate for trials of their own,
            as several items can be taken; else for rivals.
        sharpness: by which log-odds are scaled when reinforcement learning begins.
        reward_unit: what values are in units of, in mean worths of an item: more where a slate
            earns several, so that values stay of the order of 1.
        tensorboard_log: folder of TensorBoard events.
        seed: of everything random.
    """

    policy: InterestAttentionPolicy
    name: ClassVar[str]
    policy_type: ClassVar[type[InterestAttentionPolicy]] = InterestAttentionPolicy
    search: ClassVar[Space] = {  # worth tuning; a subclass adds its own
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "pretrain_rate": Range(2e-4, 5e-3, log=True),
        "gamma": Range(0.0, 0.97),
        "ent_coef": Choice((0.0, 1e-4, 1e-3, 1e-2)),
        "sharpness": Range(1.0, 8.0),
    }

    def __init__(
        self,
        policy: type[InterestAttentionPolicy],
        env: Any,
        policy_kwargs: dict[str, Any] | None = None,
        learning_rate: float = 1e-3,
        episode_batch: int = 8,
        gamma: float = 0.8,
        gae_lambda: float = 0.9,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 1.0,
        pretrain_steps: int = 0,
        pretrain_rate: float = 1e-3,
        pretrain_epochs: int = 2,
        log_passes: int = 2,
        log_users: int | None = None,
        practice_steps: int = 0,
        trial: bool = True,
        epsilon: float | None = None,
        delta: float | None = None,
        tune_interest: bool = False,
        privileged: bool = False,
        several: bool = False,
        sharpness: float = 6.0,
        reward_unit: float = 1.0,
        tensorboard_log: str | None = None,
        seed: int | None = None,
        verbose: int = 0,
        device: str = "cpu",
        _init_setup_model: bool = True,
    ) -> None:
        self.episode_batch, self.pretrain_steps = episode_batch, pretrain_steps
        self.pretrain_rate, self.privileged = pretrain_rate, privileged
        self.pretrain_epochs, self.sharpness = pretrain_epochs, sharpness
        if log_users is not None and log_users < 1:
            raise ValueError(f"log_users must be at least 1, got {log_users}")
        self.log_passes, self.log_users = log_passes, log_users
        if practice_steps < 0:
            raise ValueError(f"practice_steps must be at least 0, got {practice_steps}")
        self.practice_steps, self.trial = practice_steps, trial
        self.tune_interest = tune_interest
        self.privacy = None
        if epsilon is not None:
            self.privacy = PrivateFitConfig(epsilon, delta, passes=log_passes)
        self.several, self.reward_unit = several, reward_unit
        self.algorithm_name = self.name  # kept in the saved file, to load the right class
        self.episodes: Episodes | None = None
        self.log: Log | None = None  # what to pretrain on in place of slates of its own
        self.behaviour: Behaviour | None = None  # what the interest is fitted on: the platform's
        self.pretraining = pretrain_steps > 0  # whether the rollout at hand is for pretraining
        self.begun = False  # whether the interest has been fitted
        self.on_fitted: Callable[[], None] | None = None  # is called then, before practice
        self._updates_done = 0
        self.checkpoint: dict[str, Any] | None = None  # what a saved file says to go on from
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=1,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            policy_kwargs=policy_kwargs,
            tensorboard_log=tensorboard_log,
            monitor_wrapper=False,
            seed=seed,
            verbose=verbose,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        taught = self.privileged and self.pretrain_steps > 0 and self.env is not None
        if taught and not hasattr(self.session.simulator, "log_gain"):
            raise ValueError(
                "privileged must be False in an environment that tells no true utilities, "
                "got True: pretrain on feedback (--log-only), or not at all"
            )
        self._shuffle = np.random.default_rng(self.seed)
        worth = torch.as_tensor(self.policy.items.worth)
        self.register_worth(worth)

    def register_worth(self, worth: Tensor) -> None:
        """Sets the reward per unit of feedback [N]; ``reward_unit`` means are what values count."""
        self.worth, self.reward_scale = worth, self.reward_unit * float(worth.mean())

    def streams(self) -> dict[str, Any]:
        """Where all random streams stand between two rollouts, for ``set_streams``."""
        return {
            "sampling": torch.get_rng_state(),
            "shuffle": self._shuffle.bit_generator.state,
            "users": self.session.seeds.copy(),
            "episodes": self.session.episodes.copy(),  # each begins with a stream of its own
        }

    def set_streams(self, streams: Mapping[str, Any]) -> None:
        """Puts all random streams where they stood."""
        session = self.session
        torch.set_rng_state(streams["sampling"])
        self._shuffle.bit_generator.state = streams["shuffle"]
        session.seeds[:], session.episodes[:] = streams["users"], streams["episodes"]

    # --- learning -----------------------------------------------------------------------------

    def train(self) -> None:
        """Learns from the episodes just played."""
        assert self.episodes is not None
        self.policy.set_training_mode(True)
        if self.pretraining:
            self.pretrain(self.episodes)
        else:
            self.learn_from(self.episodes)
        self.episodes = None

    def learn_from(self, episodes: Episodes) -> None:
        """One update of reinforcement learning."""
        raise NotImplementedError

    def read(self, batch: Episodes, only: Tensor | None = None) -> Output:
        """The network at the T steps of each episode, or ``only`` some, in one causal pass."""
        steps = batch.steps
        parts = (batch.slates, batch.feedback, batch.request, batch.time)
        # the slate shown at the last step has been answered, but nothing is decided after it
        before = (part[:, :-1] for part in parts)
        output = self.policy.network(*before, last=steps, interest=batch.interest, only=only)
        if batch.available is not None:
            output.available = batch.available if only is None else batch.available[:, only]
        return output

    def log_probability(
        self, output: Output, batch: Episodes, only: Tensor | slice = slice(None)
    ) -> Tensor:
        """[B, T, K] of the slots that were drawn; [B, T, 1] where slates are drawn as a whole."""
        slates, proto = batch.slates[:, -batch.steps :][:, only], batch.proto[:, only]
        return self.policy.network.head.log_probability(output, slates, proto)

    def entropy(self, output: Output, alive: Tensor) -> Tensor:
        """Mean entropy of the head, in nats; not computed where it has no weight."""
        if self.ent_coef == 0:
            return torch.zeros(())
        entropy = self.policy.network.head.entropy(output)
        return (entropy * alive).sum() / alive.sum().clamp_min(1)

    def descend(self, loss: Tensor, rate: float) -> None:
        """One gradient step."""
        set_rate(self.policy.optimizer, rate)
        self.policy.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()

    def current_rate(self) -> float:
        """Learning rate: rises over the first rollouts, falls linearly to a tenth at the last.

        Both are of what follows pretraining: it has so few rollouts that a fall which began with
        pretraining, and the rise that a beginner needs, would leave next to nothing to learn with.
        """
        self._updates_done += 1
        rise = min(1.0, self._updates_done / (2 if self.pretrain_steps else 5))
        left = self._total_timesteps - self.num_timesteps
        whole = self._total_timesteps - self.pretrain_steps
        return float(self.lr_schedule(1)) * rise * min(1.0, max(0.1, left / max(whole, 1)))

    def _excluded_save_params(self) -> list[str]:
        return [
            *super()._excluded_save_params(),
            "episodes",
            "log",
            "behaviour",
            "on_fitted",
            "_shuffle",
        ]
