"""REINFORCE on whole episodes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from .credit import slot_credit
from .episodes import EpisodeAlgorithm
from .losses import score_function, top_k_score_function, value_loss
from .output import Output
from .search import Choice, Space
from .tape import Episodes


class EpisodeReinforce(EpisodeAlgorithm):
    """REINFORCE (Williams, 1992) with a learned baseline and credit per item of the slate.

    One gradient step for every batch of episodes, each used once.

    Args:
        top_k_correction: whether items are learned from by their chance of a place among K instead
            of slot by slot, with the ratio to the policy that drew them (Chen et al., 2019).
        ratio_cap: the ratio counts for no more than this.
        share: of an episode's requests, drawn anew for each update, that it learns from.
        **kwargs: of ``EpisodeAlgorithm``.

    Raises:
        ValueError: for a ratio_cap below 1, which would weigh down the policy's own slates, and for
            top_k_correction with a head that does not draw items.
    """

    name: ClassVar[str] = "reinforce"
    search: ClassVar[Space] = {
        **EpisodeAlgorithm.search,
        "top_k_correction": Choice((False, True)),
    }

    def __init__(
        self,
        *args: Any,
        top_k_correction: bool = False,
        ratio_cap: float = 10.0,
        share: float = 0.25,
        **kwargs: Any,
    ) -> None:
        if not ratio_cap >= 1:
            raise ValueError(f"ratio_cap must be at least 1, got {ratio_cap}")
        if not 0 < share <= 1:
            raise ValueError(f"share must be in (0, 1], got {share}")
        self.share = share
        self.top_k_correction, self.ratio_cap = top_k_correction, ratio_cap
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()
        head = self.policy.network_config.head
        if self.top_k_correction and self.policy.network.head.whole:
            raise ValueError(f"top_k_correction must be False with the head {head}")

    def learn_from(self, episodes: Episodes) -> None:
        """One pass."""
        rate = self.current_rate()
        credit, returns = slot_credit(episodes, self.gamma, 1.0, self.reward_scale)
        logged = []
        for batch, rows in episodes.batches(self.episode_batch, self._shuffle):
            logged.append(self._update(batch, credit[rows], returns[rows], rate))
        for name, value in zip(
            ("policy_loss", "value_loss", "entropy"), np.mean(logged, axis=0), strict=True
        ):
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/learning_rate", rate)

    def _update(
        self, batch: Episodes, credit: torch.Tensor, returns: torch.Tensor, rate: float
    ) -> tuple[float, ...]:
        some = self.some_of(batch.steps, round(self.share * batch.steps))
        credit, returns, alive = (part[:, some] for part in (credit, returns, batch.alive))
        output = self.read(batch, some)
        policy = self._policy_loss(output, batch, credit, some)
        value = value_loss(output.value, returns, alive)
        spread = self.entropy(output, alive)
        self.descend(policy + self.vf_coef * value - self.ent_coef * spread, rate)
        return policy.item(), value.item(), spread.item()

    def _policy_loss(
        self, output: Output, batch: Episodes, credit: torch.Tensor, some: torch.Tensor
    ) -> torch.Tensor:
        log_prob, alive = self.log_probability(output, batch, some), batch.alive[:, some]
        if not self.top_k_correction:
            return score_function(log_prob, credit, alive)
        head, shown = self.policy.network.head, batch.slates[:, -batch.steps :][:, some]
        log_share = head.log_share(output, shown)
        log_ratio = log_prob - batch.log_probability[:, some]
        return top_k_score_function(log_share, log_ratio, credit, self.ratio_cap, alive)
