"""Proximal policy optimisation on whole episodes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from .credit import slot_credit
from .episodes import EpisodeAlgorithm
from .losses import clipped_surrogate, value_loss
from .search import Range, Space
from .tape import Episodes


class EpisodePPO(EpisodeAlgorithm):
    """PPO (Schulman et al., 2017) with a ratio and an advantage per slot.

    Args:
        n_epochs: passes over the episodes of one rollout; after practice a second gains nothing.
        share: of an episode's requests, drawn anew for each update, that it learns from; what is
            not read out costs little.
        clip_range: c of the clipped surrogate.
        target_kl: the passes end where the policy has moved further than this, in nats a slot.
        **kwargs: of ``EpisodeAlgorithm``.
    """

    name: ClassVar[str] = "ppo"
    search: ClassVar[Space] = {
        **EpisodeAlgorithm.search,
        "gae_lambda": Range(0.5, 1.0),
        "clip_range": Range(0.05, 0.4),
        "n_epochs": Range(1, 6),
    }

    def __init__(
        self,
        *args: Any,
        n_epochs: int = 1,
        share: float = 0.25,
        clip_range: float = 0.2,
        target_kl: float = 0.05,
        **kwargs: Any,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must be in (0, 1], got {share}")
        self.n_epochs, self.clip_range, self.target_kl = n_epochs, clip_range, target_kl
        self.share = share
        super().__init__(*args, **kwargs)

    def learn_from(self, episodes: Episodes) -> None:
        """Several passes of clipped updates."""
        rate = self.current_rate()
        credit, returns = slot_credit(episodes, self.gamma, self.gae_lambda, self.reward_scale)
        logged: list[tuple[float, ...]] = []
        for _ in range(self.n_epochs):
            for batch, rows in episodes.batches(self.episode_batch, self._shuffle):
                logged.append(self._update(batch, credit[rows], returns[rows], rate))
            if logged[-1][3] > self.target_kl:
                break
        names = ("policy_loss", "value_loss", "entropy", "approx_kl")
        for name, value in zip(names, np.mean(logged, axis=0), strict=True):
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/learning_rate", rate)

    def _update(
        self, batch: Episodes, credit: torch.Tensor, returns: torch.Tensor, rate: float
    ) -> tuple[float, ...]:
        some = self.some_of(batch.steps, round(self.share * batch.steps))
        drawn, credit, returns, alive = (
            part[:, some] for part in (batch.log_probability, credit, returns, batch.alive)
        )
        output = self.read(batch, some)
        log_prob = self.log_probability(output, batch, some)
        policy = clipped_surrogate(log_prob, drawn, credit, self.clip_range, alive)
        value = value_loss(output.value, returns, alive)
        spread = self.entropy(output, alive)
        self.descend(policy + self.vf_coef * value - self.ent_coef * spread, rate)
        with torch.no_grad():
            shift = log_prob - drawn
            kl = (((shift.exp() - 1) - shift).mean(2) * alive).sum() / alive.sum().clamp_min(1)
        return policy.item(), value.item(), spread.item(), kl.item()
