"""The dynamic interest I = f(history): gated delta-rule memories at several time scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DeltaMemory(nn.Module):
    """A bank of linear memories m_1..m_S of item embeddings, updated in O(1) per slate.

    One slate with embeddings e_k and graded feedback y_k moves every memory by

        m <- alpha m + beta sum_k w_k (y_k - b_k - <m, e_k>) e_k,

    the delta rule (Widrow & Hoff, 1960) with forgetting: a discounted online regression of feedback
    on embeddings. alpha and beta are each scale's own, and its forget gate opens further where the
    slate surprises (mean |y_k - b_k - <m, e_k>|): that is how an abrupt shift is noticed. The taken
    slot weighs w_k = 1, the others less, because most of what is not taken was merely not chosen.

    Args:
        size: F, of the embeddings.
        half_lives: of each scale at initialisation, in slates.
        rate: beta at initialisation.
        surprise: whether gates listen to surprise.
    """

    def __init__(
        self,
        size: int,
        half_lives: tuple[float, ...] = (64.0, 16.0, 4.0),
        rate: float = 0.5,
        surprise: bool = True,
    ) -> None:
        super().__init__()
        keep = torch.tensor([2 ** (-1 / h) for h in half_lives])
        self.keep = nn.Parameter(torch.logit(keep))
        self.rate = nn.Parameter(torch.full((len(half_lives),), rate).log())
        self.alarm = nn.Parameter(torch.zeros(len(half_lives)))
        self.untaken = nn.Parameter(torch.tensor(-1.0))
        self.surprise = surprise
        self.scales, self.size = len(half_lives), size

    @property
    def width(self) -> int:
        """Length of the interest vector: S F + S."""
        return self.scales * (self.size + 1)

    def empty(self, batch: int) -> Tensor:
        """[B, S, F] memories of users about whom nothing is known."""
        return self.keep.new_zeros(batch, self.scales, self.size)

    def update(
        self, memory: Tensor, embedding: Tensor, target: Tensor, taken: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One slate.

        Args:
            memory: [B, S, F].
            embedding: [B, K, F] of the items shown; zeros where a slot is empty.
            target: [B, K] feedback less what the item gets on average.
            taken: [B, K] 1 where the item was taken, else 0.

        Returns:
            The new memories [B, S, F] and the surprise of each scale [B, S].
        """
        error = target[:, None] - memory @ embedding.transpose(1, 2)  # [B, S, K]
        weight = taken + (1 - taken) * torch.sigmoid(self.untaken)
        surprise = (error.abs() * weight[:, None]).mean(2)
        gate = self.keep + (self.alarm * surprise if self.surprise else 0)
        moved = self.rate.exp()[:, None] * ((error * weight[:, None]) @ embedding)
        return torch.sigmoid(gate)[..., None] * memory + moved, surprise

    def forward(
        self, memory: Tensor, embedding: Tensor, target: Tensor, taken: Tensor
    ) -> tuple[Tensor, Tensor]:
        """T slates one after the other.

        Args:
            memory: [B, S, F] before the first.
            embedding: [B, T, K, F].
            target: [B, T, K].
            taken: [B, T, K].

        Returns:
            The memories after each slate [B, T, S, F] and the surprises [B, T, S].
        """
        memories, surprises = [], []
        for t in range(embedding.shape[1]):
            memory, surprise = self.update(memory, embedding[:, t], target[:, t], taken[:, t])
            memories.append(memory)
            surprises.append(surprise)
        return torch.stack(memories, 1), torch.stack(surprises, 1)
