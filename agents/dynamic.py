"""The dynamic interest I = f(history): what is remembered, and what is believed to come next."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .chain import InterestChain
from .interest import DeltaMemory
from .reading import Memory, Seen

GAIN = 8.0  # log-odds per unit of feedback, where scores begin


class DynamicInterest(nn.Module):
    """Memories of what pleased, at several time scales, and a chain of passing interests.

    I_t = (m_1..m_S of ``DeltaMemory``, surprise of each, b_1..b_C of ``InterestChain``), in O(1) a
    slate. What a user chooses is explained by taste, the slowest memory, and a passing interest.

    Args:
        features: [N, F] public item vectors.
        half_lives: of the memories, in slates, the slowest first.
        surprise: whether the memories' gates listen to surprise.
        interests: C.
    """

    def __init__(
        self, features: Tensor, half_lives: tuple[float, ...], surprise: bool, interests: int
    ) -> None:
        super().__init__()
        self.memory = DeltaMemory(features.shape[1], half_lives, surprise=surprise)
        self.chain = InterestChain(features, interests)
        self.taste = nn.Parameter(torch.eye(len(half_lives))[0].clone())
        self.bias_weight = nn.Parameter(torch.ones(()))

    @property
    def width(self) -> int:
        """W, of the interest as one vector."""
        return self.memory.width + self.chain.count

    def forward(self, seen: Seen, before: Memory | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """T slates one after the other.

        Args:
            seen: what was shown and how it was received.
            before: what is carried on; None where nothing is known.

        Returns:
            Memories after each slate [B, T, S, F], the interest as one vector [B, T, W], and the
            log-likelihood [B, T] that each choice had beforehand.
        """
        batch = len(seen.feedback)
        start = self.memory.empty(batch) if before is None else before.interest
        belief = self.chain.empty(batch) if before is None else before.belief
        target = seen.feedback - seen.expected
        memories, surprise = self.memory(start, seen.embedding, target, seen.taken)
        known = torch.cat((start[:, None], memories[:, :-1]), 1)  # when the slate was shown
        taste = torch.einsum("s,btsf->btf", self.taste, known)
        utility = torch.einsum("btf,btkf->btk", taste, seen.embedding)
        utility = GAIN * (utility + self.bias_weight * seen.expected) - 1e4 * (1 - seen.shown)
        likelihood = self.chain.likelihood(seen.embedding, utility, seen.taken)
        beliefs, evidence = self.chain(belief, likelihood)
        return memories, torch.cat((memories.flatten(2), surprise, beliefs), -1), evidence

    def beliefs(self, vector: Tensor) -> Tensor:
        """[B, T, C] probabilities of the passing interests, the last part of the vector."""
        return vector[..., self.memory.width :]
