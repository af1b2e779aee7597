"""The dynamic interest I = f(history): gated delta-rule memories at several time scales."""

from __future__ import annotations

import math
from typing import Any

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

    Raises:
        ValueError: for a half-life that is none.
    """

    def __init__(
        self,
        size: int,
        half_lives: tuple[float, ...] = (64.0, 16.0, 4.0),
        rate: float = 0.15,
        surprise: bool = True,
    ) -> None:
        super().__init__()
        if not (half_lives and min(half_lives) > 0 and math.isfinite(max(half_lives))):
            raise ValueError(f"half_lives must be finite numbers above 0, got {half_lives}")
        keep = torch.tensor([2 ** (-1 / h) for h in half_lives])
        self.keep = nn.Parameter(torch.logit(keep))
        self.rate = nn.Parameter(torch.full((len(half_lives),), rate).log())
        self.alarm = nn.Parameter(torch.zeros(len(half_lives)))
        self.untaken = nn.Parameter(torch.tensor(-2.0))
        self.surprise = surprise
        self.scales, self.size = len(half_lives), size

    def empty(self, batch: int) -> Tensor:
        """[B, S, F] memories of users about whom nothing is known."""
        return self.keep.new_zeros(batch, self.scales, self.size)

    def forward(
        self, memory: Tensor, embedding: Tensor, target: Tensor, taken: Tensor
    ) -> tuple[Tensor, Tensor]:
        """T slates one after the other.

        Args:
            memory: [B, S, F] before the first.
            embedding: [B, T, K, F] of the items shown; zeros where a slot is empty.
            target: [B, T, K] feedback less what the item gets on average.
            taken: [B, T, K] 1 where the item was taken, else 0.

        Returns:
            The memories after each slate [B, T, S, F] and the surprise of each scale [B, T, S].
        """
        weight = taken + (1 - taken) * torch.sigmoid(self.untaken)
        alarm = self.alarm if self.surprise else torch.zeros_like(self.alarm)
        rate = self.rate.exp()
        return _Scan.apply(memory, embedding, target, weight, self.keep, alarm, rate)

    def step(self, memory: Tensor, embedding: Tensor, error: Tensor, surprise: Tensor) -> Tensor:
        """[B, S, F] memories after one slate whose errors were found elsewhere.

        Args:
            memory: [B, S, F] before it.
            embedding: [B, K, F] of the items shown.
            error: [B, K] feedback less what was foreseen.
            surprise: [B] that opens the forget gates further.
        """
        alarm = self.alarm if self.surprise else torch.zeros_like(self.alarm)
        gate = torch.sigmoid(self.keep + alarm * surprise[:, None])
        moved = error[:, None] @ embedding
        return gate[..., None] * memory + self.rate.exp()[:, None] * moved


class _Scan(torch.autograd.Function):
    """The recurrence of ``DeltaMemory`` with its gradient written out.

    Step by step it takes a dozen small products; left to autograd they would be five times as many.
    Letters: m memories, e embeddings, a = sigmoid(keep + alarm s) gates, s surprises.
    """

    @staticmethod
    def forward(
        ctx: Any,
        memory: Tensor,
        embedding: Tensor,
        target: Tensor,
        weight: Tensor,
        keep: Tensor,
        alarm: Tensor,
        rate: Tensor,
    ) -> tuple[Tensor, Tensor]:
        memories = [memory]
        kept: tuple[list[Tensor], ...] = ([], [], [])
        for t in range(target.shape[1]):
            e, w = embedding[:, t], weight[:, t, None]
            error = target[:, t, None] - memory @ e.mT  # [B, S, K]
            surprise = (error.abs() * w).mean(2)
            gate = torch.sigmoid(keep + alarm * surprise)
            memory = torch.baddbmm(gate[..., None] * memory, error * w * rate[:, None], e)
            memories.append(memory)
            for part, new in zip(kept, (error, gate, surprise), strict=True):
                part.append(new)
        out = torch.stack(memories, 1)  # [B, T + 1, S, F]
        error, gate, surprise = (torch.stack(part, 1) for part in kept)
        ctx.save_for_backward(out, embedding, weight, error, gate, surprise, alarm, rate)
        return out[:, 1:], surprise

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor, grad_surprise: Tensor) -> tuple[Tensor, ...]:
        out, embedding, weight, error, gate, surprise, alarm, rate = ctx.saved_tensors
        slots = weight.shape[2]
        grad = torch.zeros_like(out[:, 0])
        kept: tuple[list[Tensor], ...] = ([], [], [])
        for t in reversed(range(weight.shape[1])):
            grad = grad + grad_out[:, t]
            e, m, a = embedding[:, t], out[:, t], gate[:, t]
            inner = (grad * m).sum(2) * a * (1 - a)  # to keep + alarm s
            shock = (grad_surprise[:, t] + inner * alarm)[..., None] / slots
            blame = (grad @ e.mT) * rate[:, None] + shock * error[:, t].sign()
            blame = blame * weight[:, t, None]  # [B, S, K]
            for part, new in zip(kept, (grad, inner, blame), strict=True):
                part.append(new)
            grad = torch.baddbmm(a[..., None] * grad, blame, e, alpha=-1)
        pull, inner, blame = (torch.stack(part[::-1], 1) for part in kept)
        push = pull @ embedding.mT  # [B, T, S, K]
        shock = (grad_surprise + inner * alarm)[..., None] / slots
        step = error * weight[:, :, None] * rate[:, None]
        return (
            grad,
            step.mT @ pull - blame.mT @ out[:, :-1],
            blame.sum(2),
            (push * error * rate[:, None] + shock * error.abs()).sum(2),
            inner.sum((0, 1)),
            (inner * surprise).sum((0, 1)),
            (push * error * weight[:, :, None]).sum((0, 1, 3)),
        )
