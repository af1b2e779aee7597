"""Slate heads: how slates are drawn from what a network says, and how likely they were."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import one_hot

from .expected import ExpectedReward
from .head import Draw, Head
from .output import Output
from .slate import draw_one, log_probability, sample_slate


class PlackettLuce(Head):
    """Slot after slot by a softmax over the items that are left, see ``driftrec.agents.slate``."""

    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """By Gumbel top-k."""
        scores = output.scores[:, 0] * sharp
        slates = sample_slate(scores, slots)
        chosen = log_probability(scores.gather(-1, slates), scores.logsumexp(-1))
        return Draw(slates, chosen, scores[:, :0])

    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """Given the slots above."""
        total = output.log_total()
        return log_probability(output.scores_of(slates), total)


class DiversePlackettLuce(Head):
    """Slot after slot by a softmax in which a kind of item loses odds with each of it above.

    log odds of item j in slot k = Y_j - charge * (slots above of j's kind)

    An item's kind is the largest coordinate of its public vector, its main topic as a rule. What is
    charged is learned; where nothing is explored the best item goes into each slot by the same
    odds. Users who tire of a topic, or want some of each, are told from those who do not.
    """

    by_item: ClassVar[bool] = True
    kinds: Tensor

    def prepare(self, features: Tensor, diversity: float, loyalty: float) -> None:
        """The charge begins at ``diversity``.

        Raises:
            ValueError: for a diversity of 0 or less.
        """
        if diversity <= 0:
            raise ValueError(f"diversity must be above 0 with the head diverse, got {diversity}")
        self.register_buffer("kinds", one_hot(features.argmax(1), features.shape[1]).float())
        self.log_charge = nn.Parameter(torch.tensor(float(diversity)).log())

    def _fill(
        self, output: Output, slots: int, sharp: Tensor | float, noise: bool
    ) -> tuple[Tensor, Tensor]:
        """Slates [B, K] and the log-probability of each slot [B, K]."""
        charge = output.sharpness * self.log_charge.exp()
        rows = torch.arange(len(output.value))
        scores = output.scores[:, 0].clone()
        slates, chosen = [], []
        for _ in range(slots):
            share = (scores * sharp).softmax(-1)
            best = draw_one(share) if noise else share.argmax(-1)
            chosen.append(share[rows, best].log())
            slates.append(best)
            scores = scores - charge * self.kinds[best] @ self.kinds.T
            scores[rows, best] = -torch.inf
        return torch.stack(slates, 1), torch.stack(chosen, 1)

    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """One slot after the other."""
        slates, chosen = self._fill(output, slots, sharp, noise=True)
        return Draw(slates, chosen, chosen[:, :0])

    def best(self, output: Output, slots: int) -> Tensor | None:
        """The likeliest item in each slot."""
        return self._fill(output, slots, 1.0, noise=False)[0]

    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """Given the slots above, by what is left of each kind: one pass over the items."""
        charge = output.sharpness * self.log_charge.exp()
        scores, kind = output.scores, self.kinds[slates]
        top = scores.amax(-1, keepdim=True).detach()
        weight = (scores - top).exp().double()  # what is taken can be all but a billionth
        chosen = weight.gather(-1, slates)[..., None] * kind  # [B, T, K, F]
        left = (weight @ self.kinds.double())[:, :, None] - (chosen.cumsum(2) - chosen)
        above = kind.cumsum(2) - kind
        total = (left.clamp_min(0) * torch.exp(-charge * above)).sum(-1)
        odds = scores.gather(-1, slates) - top - charge * (above * kind).sum(-1)
        return odds - total.clamp_min(1e-30).log().to(odds.dtype)


class IdSoftmax(Head):
    """Every slot by a softmax of its own over item ids, that knows nothing but the ids.

    What a library's ``MultiDiscrete`` policy does: slots do not see each other, so a slate can hold
    an item twice, and an item has a free vector instead of features. The slots share their odds.
    """

    item_features: ClassVar[bool] = False

    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """With replacement."""
        log_share = (output.scores[:, 0] * sharp).log_softmax(-1)
        slates = log_share.exp().multinomial(slots, replacement=True)
        return Draw(slates, log_share.gather(-1, slates), log_share[:, :0])

    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """Whatever the other slots."""
        return output.scores_of(slates) - output.log_total()[..., None]


class ProtoAction(Head):
    """A Gaussian around the query, and the items nearest to what is drawn.

    p ~ N(q, diag(sigma^2)); the slate is the K items of largest <p, e_j> + bias_j. What is learned
    from is the probability of p, because many p give the same slate. Source: Dulac-Arnold et al.
    (2015), "Deep reinforcement learning in large discrete action spaces", the proto-action.

    Args:
        size: F, of the item vectors.
    """

    whole: ClassVar[bool] = True

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.log_std = nn.Parameter(torch.zeros(size))

    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """One p a user; where odds are sharper the noise is smaller."""
        query, std = output.query[:, 0, 0], self.log_std.exp() / sharp
        proto = query + std * torch.randn_like(query)
        chosen = Normal(query, std).log_prob(proto).sum(-1, keepdim=True)
        moved = replace(output, query=proto[:, None, None])
        return Draw(moved.scores[:, 0].topk(slots, dim=-1).indices, chosen, proto)

    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """Of p; the slate follows from it."""
        law = Normal(output.query[:, :, 0], self.log_std.exp())
        return law.log_prob(proto).sum(-1, keepdim=True)

    def entropy(self, output: Output) -> Tensor:
        """Of p."""
        law = Normal(torch.zeros_like(self.log_std), self.log_std.exp())
        return law.entropy().sum().expand(output.value.shape)


HEADS: dict[str, type[Head]] = {
    "expected-reward": ExpectedReward,
    "plackett-luce": PlackettLuce,
    "diverse": DiversePlackettLuce,
    "id-softmax": IdSoftmax,
    "proto": ProtoAction,
}
"""Every slate head by its name."""
