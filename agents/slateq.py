"""SlateQ: the value of a slate from the values of its items, learned by temporal differences.

Source: Ie, Jain, Wang, Narvekar, Agarwal, Wu, Cheng, Chandra & Boutilier (2019), "SlateQ: a
tractable decomposition for reinforcement learning with recommendation sets".
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from .episodes import EpisodeAlgorithm
from .head import Draw, Head
from .network import Network
from .output import Output
from .policy import InterestAttentionPolicy
from .search import Range, Space
from .slate import sample_slate
from .tape import Episodes

_LEAST = 1e-3  # gain by which an item that is worth nothing is still ranked


class ItemValue(Head):
    """What it is worth that an item is taken, and the slates that follow from it.

    Q(s, i)    = V(s) + g(s, i), V(s) the worth of a request at which nothing is taken
    g(s, i)    = <W h + sum_s c_s m_s, e_i> + b
    P(i | s,A) = v_i / (v_0 + sum_{j in A} v_j), log v the network's scores less an item's worth
    Q(s, A)    = V(s) + sum_{i in A} P(i | s, A) g(s, i)

    Slates are drawn by Gumbel top-k from the rank, ``greed`` times as sharp.

    Args:
        network: whose head it will be.
        slots: K.
    """

    greed: Tensor
    rounds: Tensor

    def __init__(self, network: Network, slots: int) -> None:
        size, scales = network.features.shape[1], network.interest.memory.scales
        super().__init__(size)
        self.slots = slots
        self.choice = network.choice  # log tau, c, o of ``losses.choice_loss``
        self.query = nn.Linear(network.config.hidden, size)
        self.read = nn.Parameter(torch.full((scales,), 1 / scales))
        self.base = nn.Parameter(torch.ones(()))
        self.register_buffer("greed", torch.ones(()))
        self.register_buffer("rounds", torch.zeros((), dtype=torch.long))
        nn.init.zeros_(self.query.weight)
        nn.init.zeros_(self.query.bias)

    def _direction(self, output: Output) -> Tensor:
        assert output.hidden is not None
        memory = torch.einsum("s,btsf->btf", self.read, output.interest.memories)
        return self.query(output.hidden) + memory

    def gain(self, output: Output) -> Tensor:
        """[B, T, N] g(s, i) of every item."""
        return self._direction(output) @ output.embedding.T + self.base

    def gain_of(self, output: Output, items: Tensor) -> Tensor:
        """[B, T, n] g(s, i) of some items [B, T, n]."""
        vectors = output.embedding[items]
        return torch.einsum("btf,btnf->btn", self._direction(output), vectors) + self.base

    def slate_value(self, output: Output, slates: Tensor) -> Tensor:
        """[B, T] Q(s, A) of slates [B, T, K]."""
        slots = torch.arange(slates.shape[-1], dtype=output.value.dtype)
        utility = output.scores_of(slates) - output.log_worth[slates]
        log_odds = utility * torch.exp(-self.choice[0]) - self.choice[2] + self.choice[1] * slots
        return output.value + expected_gain(log_odds, self.gain_of(output, slates))

    def rank(self, output: Output) -> Tensor:
        """[B, T, N] how items are ranked for a slate, in log-odds."""
        utility = output.scores - output.log_worth
        log_odds = utility * torch.exp(-self.choice[0]) - self.choice[2]
        return slate_rank(log_odds, self.gain(output), self.slots, int(self.rounds))

    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """By Gumbel top-k; how likely that was is not asked."""
        scores = self.rank(output)[:, 0] * self.greed * sharp
        slates = sample_slate(scores, slots)
        return Draw(slates, scores.new_zeros(slates.shape), scores[:, :0])

    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """Zeros: nothing is learned from it."""
        return output.value.new_zeros(slates.shape)


def expected_gain(log_odds: Tensor, gain: Tensor) -> Tensor:
    """[...] sum_i v_i g_i / (1 + sum_i v_i) of log v [..., K] and g [..., K]."""
    outside = log_odds.new_zeros(*log_odds.shape[:-1], 1)
    share = torch.cat((log_odds, outside), -1).softmax(-1)[..., :-1]
    return (share * gain).sum(-1)


def slate_rank(log_odds: Tensor, gain: Tensor, slots: int, rounds: int) -> Tensor:
    """Log of v_i (g_i - z), the K largest of which make the slate.

    With z = 0 that is the top-k slate of Ie et al. (2019). The slate of largest expected gain has
    as z that gain itself (Rusmevichientong, Shen & Shmoys, 2010): ``rounds`` of z <- gain of the
    slate go there, in place of the paper's linear program.

    Args:
        log_odds: [..., N] log v, of each item against nothing.
        gain: [..., N] g.
        slots: K.
        rounds: 0 for the top-k slate.

    Returns:
        [..., N].
    """
    level = gain.new_zeros(*gain.shape[:-1], 1)
    for _ in range(rounds):
        best = (log_odds + (gain - level).clamp_min(_LEAST).log()).topk(slots, dim=-1).indices
        level = expected_gain(log_odds.gather(-1, best), gain.gather(-1, best))[..., None]
    return log_odds + (gain - level).clamp_min(_LEAST).log()


class SlateQPolicy(InterestAttentionPolicy):
    """The recommender with item values for its head."""

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.network.head = head = ItemValue(self.network, self.slots)
        self.optimizer.add_param_group({"params": [*head.query.parameters(), head.read, head.base]})


class EpisodeSlateQ(EpisodeAlgorithm):
    """Item values by temporal differences on whole episodes, beside the model of choice.

    Of a slot that was taken: Q(s, i) -> r + gamma Q(s', A'), and of a request at which nothing was:
    V(s) -> gamma Q(s', A'). The targets are those of the network that played the episodes, fixed
    for all passes over them. Several items taken from one slate are learned from one by one.

    Args:
        n_epochs: passes over the episodes of one rollout.
        on_policy: whether A' is the slate that was shown next (SARSA), or the one that ranks first
            (Q-learning).
        rounds: towards the slate of largest value, see ``slate_rank``; 0 for the top-k slate.
        greed: by which the rank is scaled when slates are drawn.
        choice_coef: weight of the choice model's likelihood.
        sharpness: of ``EpisodeAlgorithm``; values ask for no other odds than what is likely.
        **kwargs: of ``EpisodeAlgorithm``.
    """

    name: ClassVar[str] = "slateq"
    search: ClassVar[Space] = {
        **{name: part for name, part in EpisodeAlgorithm.search.items() if name != "ent_coef"},
        "greed": Range(1.0, 8.0, log=True),
    }
    policy_type: ClassVar[type[InterestAttentionPolicy]] = SlateQPolicy

    def __init__(
        self,
        *args: Any,
        n_epochs: int = 3,
        on_policy: bool = True,
        rounds: int = 0,
        greed: float = 2.0,
        choice_coef: float = 1.0,
        sharpness: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.n_epochs, self.on_policy, self.rounds = n_epochs, on_policy, rounds
        self.greed, self.choice_coef = greed, choice_coef
        kwargs["sharpness"] = sharpness
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()
        head = self.policy.network.head
        assert isinstance(head, ItemValue)
        head.greed.fill_(self.greed)
        head.rounds.fill_(self.rounds)
        self.head = head

    def learn_from(self, episodes: Episodes) -> None:
        """Several passes towards the same targets."""
        rate = self.current_rate()
        with torch.no_grad():
            following = torch.cat([self.targets(b) for b in self._in_order(episodes)])
        logged = []
        for _ in range(self.n_epochs):
            for batch, rows in episodes.batches(self.episode_batch, self._shuffle):
                logged.append(self._update(batch, following[rows], rate))
        for name, value in zip(("td_loss", "choice_loss"), np.mean(logged, axis=0), strict=True):
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/learning_rate", rate)

    def _in_order(self, episodes: Episodes) -> list[Episodes]:
        rows = torch.arange(len(episodes.slates)).split(self.episode_batch)
        return [episodes.take(some) for some in rows]

    def targets(self, batch: Episodes) -> Tensor:
        """[B, T] gamma Q(s', A') after each step; 0 after a user has left."""
        output = self.read(batch)
        if self.on_policy:
            slates = batch.slates[:, -batch.steps :]
        else:
            slates = self.head.rank(output).topk(self.policy.slots, dim=-1).indices
        return self.gamma * next_value(self.head.slate_value(output, slates), batch)

    def _update(self, batch: Episodes, following: Tensor, rate: float) -> tuple[float, float]:
        output, alive = self.read(batch), batch.alive
        slates = batch.slates[:, -batch.steps :]
        feedback = batch.feedback[:, -batch.steps :]
        taken = (feedback > 0).float()
        reached = output.value[..., None] + self.head.gain_of(output, slates)
        aim = batch.slot_reward / self.reward_scale + following[..., None]
        error = ((reached - aim).square() * taken).sum(2)
        error = error + (output.value - following).square() * (1 - taken.amax(2))
        td = (error * alive).sum() / alive.sum()
        utility, law = self.utility(output, slates), self.policy.network.choice
        choice = self.feedback_loss(utility, feedback, law, alive)
        self.descend(td + self.choice_coef * choice, rate)
        return td.item(), choice.item()


def next_value(value: Tensor, episodes: Episodes) -> Tensor:
    """[B, T] the value at the step after each; after the last what was predicted, 0 of who left."""
    after = value[:, 1:] * episodes.alive[:, 1:]
    return torch.cat((after, episodes.value[:, -1:]), 1)
