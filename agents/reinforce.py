"""REINFORCE on whole episodes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from .episodes import EpisodeAlgorithm, Episodes, discounted, slot_advantage
from .losses import score_function


class EpisodeReinforce(EpisodeAlgorithm):
    """REINFORCE (Williams, 1992) with a learned baseline and credit per item of the slate.

    One gradient step for every batch of episodes, each used once.
    """

    name: ClassVar[str] = "reinforce"

    def learn_from(self, episodes: Episodes) -> None:
        """One pass."""
        scale, rate = self.reward_scale, self.current_rate()
        advantage, returns = discounted(episodes, self.gamma, 1.0, scale)
        credit = slot_advantage(episodes, advantage, scale)
        alive = episodes.alive.bool()
        credit = (credit - credit[alive].mean()) / (credit[alive].std() + 1e-6)
        logged = []
        for rows in torch.as_tensor(self._shuffle.permutation(len(returns))).split(
            self.episode_batch
        ):
            logged.append(self._update(episodes.take(rows), credit[rows], returns[rows], rate))
        for name, value in zip(
            ("policy_loss", "value_loss", "entropy"), np.mean(logged, axis=0), strict=True
        ):
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/learning_rate", rate)

    def _update(
        self, batch: Episodes, credit: torch.Tensor, returns: torch.Tensor, rate: float
    ) -> tuple[float, ...]:
        output, alive = self.read(batch), batch.alive
        log_prob = self.log_probability(output, batch)
        policy = score_function(log_prob, credit, alive)
        value = ((output.value - returns).square() * alive).sum() / alive.sum()
        spread = self.entropy(output, alive)
        self.descend(policy + self.vf_coef * value - self.ent_coef * spread, rate)
        return policy.item(), value.item(), spread.item()
