"""Passing interests: a hidden Markov chain, learned, and followed as a Bayes filter would."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_PACE = 10.0  # logits held in tens: a step of the optimiser moves them by so much more
_LEAK = 1e-3  # of a belief, that anything may have happened


class InterestChain(nn.Module):
    """C passing interests v_c, of which a user has one at a time; b_t says which, and how surely.

        b_t = A' (b_{t-1} o L_t) / |b_{t-1} o L_t|,   L_tc = P(choice_t | taste + v_c)

    P is a multinomial logit over the slate's items and nothing (McFadden, 1974), A says what
    interest follows which: what a filter of a hidden Markov chain computes (Rabiner, 1989, eq. 19),
    with A, v_c and the law of choice learned from what users choose. Where tastes pass from one
    thing to the next the chain foresees it, which no regression on the past does.

    Args:
        features: [N, F] public item vectors; interests begin at items drawn at random.
        count: C; 0 for none.
        stay: probability at initialisation that an interest lasts to the next request.
        gain: log-odds per unit of <v_c, e_j> at initialisation.
    """

    def __init__(self, features: Tensor, count: int, stay: float = 0.95, gain: float = 3.0) -> None:
        super().__init__()
        self.count = min(count, len(features))
        start = torch.randperm(len(features))[: self.count]
        self.prototypes = nn.Parameter(features[start].clone())
        self.log_gain = nn.Parameter(torch.tensor(math.log(gain)))
        self.log_appeal = nn.Parameter(torch.tensor(math.log(gain)))
        lasting = math.log(stay / (1 - stay) * max(self.count - 1, 1)) / _PACE
        self.change = nn.Parameter(lasting * torch.eye(self.count))
        self.prior = nn.Parameter(torch.zeros(self.count))
        self.outside = nn.Parameter(torch.tensor(2.8))
        self.position = nn.Parameter(torch.tensor(-0.05))

    def empty(self, batch: int) -> Tensor:
        """[B, C] beliefs about users of whom nothing is known."""
        return (_PACE * self.prior).softmax(0).expand(batch, -1)

    def likelihood(self, embedding: Tensor, utility: Tensor, taken: Tensor) -> Tensor:
        """[B, T, C] log P(choice | c), of slates of which a user took some items or none.

        Args:
            embedding: [B, T, K, F] of the items shown.
            utility: [B, T, K] log-odds of each item by what is known beside the passing interest;
                very low where a slot is empty.
            taken: [B, T, K] 1 where the item was taken; several count as several choices.
        """
        place = torch.arange(utility.shape[2], dtype=utility.dtype)
        lift = self.log_gain.exp() * (embedding @ self.prototypes.T)
        logit = lift + (utility + self.position * place)[..., None]  # [B, T, K, C]
        total = torch.logaddexp(logit.logsumexp(2), self.outside)
        some = taken.amax(2, keepdim=True)
        chosen = torch.einsum("btk,btkc->btc", taken, logit) + (1 - some) * self.outside
        return chosen - total * taken.sum(2, keepdim=True).clamp_min(1)

    def forward(self, belief: Tensor, likelihood: Tensor) -> tuple[Tensor, Tensor]:
        """T choices one after the other.

        Args:
            belief: [B, C] before the first.
            likelihood: [B, T, C] of ``likelihood``.

        Returns:
            What is believed of the request after each choice [B, T, C], and the log-likelihood of
            each choice given those before it [B, T].
        """
        if self.count == 0:
            return likelihood, likelihood.new_zeros(likelihood.shape[:2])
        change = (_PACE * self.change).softmax(1)
        change = (1 - _LEAK) * change + _LEAK / self.count
        top = likelihood.amax(2, keepdim=True)
        odds = (likelihood - top).exp()
        beliefs, evidence = [], []
        for t in range(odds.shape[1]):
            joint = belief * odds[:, t]
            total = joint.sum(1, keepdim=True).clamp_min(1e-20)
            belief = (joint / total) @ change
            beliefs.append(belief)
            evidence.append(total)
        return torch.stack(beliefs, 1), torch.cat(evidence, 1).log() + top[..., 0]

    @property
    def pull(self) -> Tensor:
        """[C, F] what each interest adds to the log-odds of recommending an item, per unit."""
        return self.log_appeal.exp() * self.prototypes
