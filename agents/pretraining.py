"""Pretraining: what an algorithm learns before any reward is optimised."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .credit import discounted
from .guarantee import Guarantee, PrivateFitConfig, plan_guarantee
from .kept import fit_once, practise_once
from .logfit import Behaviour, fit_interest
from .losses import FeedbackLoss, choice_loss, click_loss, fit_choice, teacher_loss, value_loss
from .output import Output
from .platform import Platform
from .policy import InterestAttentionPolicy
from .practice import practise
from .privatefit import fit_interest_privately
from .tape import Episodes

_TAUGHT = 6  # pace beside a teacher


class Pretraining:
    """The part of ``EpisodeAlgorithm`` that comes first.

    1. The interest alone is fitted on the platform's log: next-feedback likelihood.
    2. It is fitted further on how users answer its own best slates.
    3. Episodes are learned from by the choices in them, or by a teacher who knows the users, and
       the value besides.
    """

    policy: InterestAttentionPolicy
    env: Any
    logger: Any
    worth: Tensor
    num_timesteps: int
    pretrain_steps: int
    pretrain_rate: float
    privileged: bool
    pretrain_epochs: int
    log_passes: int
    log_users: int | None
    practice_steps: int
    trial: bool
    privacy: PrivateFitConfig | None
    behaviour: Behaviour | None
    several: bool
    gamma: float
    vf_coef: float
    reward_scale: float
    episode_batch: int
    _shuffle: np.random.Generator

    def read(self, batch: Episodes, only: Tensor | None = None) -> Output:
        """The network at the T steps of each episode, or ``only`` some."""
        raise NotImplementedError

    def descend(self, loss: Tensor, rate: float) -> None:
        """One gradient step."""
        raise NotImplementedError

    def fit_interest(self) -> None:
        """Fits the interest on ``behaviour``, by default the platform's log."""
        found = self.read_behaviour()
        if found is None:
            return
        self.policy.set_training_mode(True)
        network, slates, feedback = self.policy.network, found.slates, found.feedback
        if self.privacy is not None:
            fit_interest_privately(network, slates, feedback, self.privacy, against=found.against)
        elif self.behaviour is not None:
            fit_interest(network, slates, feedback, self.log_passes, self._shuffle)
        else:
            fit_once(network, found, self.log_passes, self._shuffle)

    def practise(self) -> None:
        """Goes on fitting the interest on how users answer its own best slates."""
        episode = self.env.num_envs * int(self.env.get_attr("horizon")[0])
        rollouts = -(-self.practice_steps // episode)
        self.policy.network.sharpness.fill_(1.0)
        kept = self.behaviour is None  # of a log of one's own nothing is left in a common folder
        run = practise_once if kept else practise
        run(self.policy, self.env, self.worth, rollouts, self._shuffle, trial=self.trial)

    def read_behaviour(self) -> Behaviour | None:
        """What the interest is fitted on; None where nobody's choices are known."""
        if self.behaviour is not None:
            return self.behaviour
        log, users = Platform.of(self.env).log, self.log_users or max(1, self.pretrain_steps // 8)
        if log.slates is None or log.feedback is None:
            return None
        return Behaviour(log.slates[:users], log.feedback[:users])

    def promised(self) -> Guarantee | None:
        """What the accountant says of the fit to come; None where it is not private.

        Raises:
            ValueError: where there is no log to be private about, or as ``plan_guarantee``.
        """
        if self.privacy is None:
            return None
        found = self.read_behaviour()
        if found is None or self.pretrain_steps == 0:
            raise ValueError("epsilon must be left out where no log is read (pretrain_steps, log)")
        return plan_guarantee(len(found.slates), self.privacy, found.against == "slates")

    def pretrain(self, episodes: Episodes) -> None:
        """Next-feedback likelihood on the log, or the teacher's ranking; the value besides."""
        returns = discounted(episodes, self.gamma, 1.0, self.reward_scale)[1]
        done = self.num_timesteps / max(self.pretrain_steps, 1)
        rate = self.pretrain_rate * (_TAUGHT if self.privileged else 1)
        rate *= min(1.0, 10 * done) * max(0.1, 1 - done)
        if episodes.teacher is None and self.num_timesteps == episodes.reward.numel():
            self._fit_choice(episodes)
        logged = []
        for _ in range(self.pretrain_epochs):
            for batch, rows in episodes.batches(self.episode_batch, self._shuffle):
                logged.append(self._pretrain_update(batch, returns[rows], rate))
        mean = np.mean(logged, axis=0)
        self.logger.record("pretrain/loss", mean[0])
        self.logger.record("train/value_loss", mean[1])
        self.logger.record("train/learning_rate", rate)

    def _pretrain_update(self, batch: Episodes, target: Tensor, rate: float) -> tuple[float, float]:
        """One gradient step; beside a teacher on a third of the requests."""
        asked = torch.arange(batch.steps) if batch.teacher is None else batch.teacher.steps
        some = self.some_of(len(asked), batch.steps if batch.teacher is None else batch.steps // 3)
        steps = asked[some]
        output, alive = self.read(batch, steps), batch.alive[:, steps]
        if batch.teacher is not None:
            mine = self.policy.network.head.log_share(output, batch.teacher.items[:, some])
            loss = teacher_loss(mine, batch.teacher.share[:, some], alive)
        else:
            shown = batch.slates[:, -batch.steps :][:, steps]
            feedback = batch.feedback[:, -batch.steps :][:, steps]
            loss = self._answers_loss(output, shown, feedback, alive)
        value = value_loss(output.value, target[:, steps], alive)
        self.descend(loss + self.vf_coef * value, rate)
        return loss.item(), value.item()

    def _answers_loss(
        self, output: Output, slates: Tensor, feedback: Tensor, alive: Tensor
    ) -> Tensor:
        """Negative log-likelihood of answers, as the head foresees them or by its scores."""
        foreseen = self.policy.network.head.log_likelihood(output, slates, feedback)
        if foreseen is not None and not self.several:
            return -(foreseen * alive).sum() / alive.sum().clamp_min(1)
        utility, choice = self.utility(output, slates), self.policy.network.choice
        return self.feedback_loss(utility, feedback, choice, alive)

    def some_of(self, steps: int, count: int) -> Tensor:
        """``count`` of an episode's steps, one at least, in their order: neighbours are alike."""
        drawn = self._shuffle.permutation(steps)[: max(1, count)]
        return torch.as_tensor(np.sort(drawn))

    @property
    def feedback_loss(self) -> FeedbackLoss:
        """Negative log-likelihood of feedback by the utilities of the items shown."""
        return click_loss if self.several else choice_loss

    def utility(self, output: Output, slates: Tensor) -> Tensor:
        """[B, T, K] scores without what an item's worth adds to them, which no choice shows."""
        return output.scores_of(slates) - output.log_worth[slates]

    def _fit_choice(self, episodes: Episodes) -> None:
        """Fits how users choose, with scores as they are, before the scores learn from it."""
        slates, feedback = (x[:, -episodes.steps :] for x in (episodes.slates, episodes.feedback))
        with torch.no_grad():
            shown = self.utility(self.read(episodes), slates)
        choice = self.policy.network.choice
        choice.data.copy_(fit_choice(shown, feedback, choice, episodes.alive, self.feedback_loss))
