"""What a network says of the items, and the scores that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .logsum import LogSum
from .occasion import OccasionLaw
from .reading import Interest
from .slate import UNAVAILABLE


@dataclass
class Output:
    """What the network says at T requests of B users.

    Attributes:
        query: [B, T, M, F] interest vectors q_m, and ``weight`` [B, T, M] of each.
        value: [B, T] expected discounted reward to come.
        interest: the dynamic interest at each of the requests.
        embedding: [N, F] item vectors, and ``bias`` [N] of each.
        sharpness: what log-odds are scaled by; all of these already are.
        log_worth: [N] what an item's worth adds to its bias, unscaled.
        features: [N, F] public item vectors, by which items are alike.
        available: [B, T, N] false where an item is not to be had; None where all are.
        hidden: [B, T, hidden] what ``query`` was read from, for heads that read more.
        law: what the occasion of each request adds to the score of what is known or new; None: no
            such thing is learned of.
    """

    query: Tensor
    weight: Tensor
    value: Tensor
    interest: Interest = field(repr=False)
    embedding: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)
    sharpness: Tensor = field(repr=False)
    log_worth: Tensor = field(repr=False)
    features: Tensor = field(repr=False)
    available: Tensor | None = field(default=None, repr=False)
    hidden: Tensor | None = field(default=None, repr=False)
    law: OccasionLaw | None = field(default=None, repr=False)

    @property
    def scores(self) -> Tensor:
        """[B, T, N] log-odds Y of recommending each item."""
        match = self.query @ self.embedding.T + self.weight[..., None]
        return self.to_be_had(match.logsumexp(2) + self.bias + self.lift())

    def scores_of(self, items: Tensor) -> Tensor:
        """[B, T, n] the scores of some items [B, T, n]."""
        match = torch.einsum("btmf,btnf->btmn", self.query, self.embedding[items])
        scores = (match + self.weight[..., None]).logsumexp(2)
        return self.to_be_had(scores + self.bias[items] + self.lift(items), items)

    @torch.no_grad()
    def lift(self, items: Tensor | None = None) -> Tensor:
        """[B, T, n] what the occasion adds to the scores of ``items`` [B, T, n], of all if None."""
        if self.law is None:
            return torch.zeros(())
        return self.sharpness * self.law.lift(self.interest.occasion, items)

    def of(self, items: Tensor) -> Output:
        """What it says of some items [n] to a single user, and of no others."""
        every = items[None, None]
        return replace(
            self,
            embedding=self.embedding[items],
            bias=self.bias[items] + self.lift(every).flatten(),
            log_worth=self.log_worth[items],
            features=self.features[items],
            available=None if self.available is None else self.available[..., items],
            law=None,
        )

    def to_be_had(self, scores: Tensor, items: Tensor | None = None) -> Tensor:
        """``scores`` [B, T, n] of ``items`` [B, T, n], of all where None, without what is gone."""
        if self.available is None:
            return scores
        had = self.available if items is None else self.available.gather(2, items)
        return scores.masked_fill(~had, UNAVAILABLE)

    def log_total(self) -> Tensor:
        """[B, T] log sum_j exp(Y_j), in one pass over the M N terms."""
        gone = None if self.available is None else ~self.available.flatten(0, 1)
        query, weight = self.query.flatten(0, 1), self.weight.flatten(0, 1)
        lift = None if self.law is None else self.lift().flatten(0, 1)
        total = LogSum.apply(query, self.embedding, weight, self.bias, gone, lift)
        return total.view(self.value.shape)

    def put(self, rows: Tensor, other: Output) -> None:
        """Overwrites users in ``rows``."""
        for name in self._of_users():
            getattr(self, name)[rows] = getattr(other, name)
        self.interest.put(rows, other.interest)

    def _of_users(self) -> tuple[str, ...]:
        own = ("query", "weight", "value")
        return own if self.hidden is None else (*own, "hidden")
