"""log sum_j exp(Y_j) over all items, without writing down more than once what is summed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .slate import UNAVAILABLE


class LogSum(torch.autograd.Function):
    """[R] log of the sum over M vectors and N items of exp(<q_m, e_j> + weight_m + bias_j).

    The sum has M N terms a row, and is what learning spends most of its time on. Its gradient is
    the share of each term, which is at hand when the sum is: autograd would work it out anew.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        embedding: Tensor,
        weight: Tensor,
        bias: Tensor,
        gone: Tensor | None,
        lift: Tensor | None = None,
    ) -> Tensor:
        """Terms of [R, M, F], [N, F], [R, M] and [N]; ``gone`` [R, N] marks those left out.

        ``lift`` [R, N] is added to an item's terms; no gradient reaches it.
        """
        rows, vectors, size = query.shape
        flat = query.reshape(-1, size)
        term = torch.addmm(bias, flat, embedding.T).view(rows, vectors, -1)
        term += weight[..., None]
        if lift is not None:
            term += lift[:, None]
        if gone is not None:
            term.masked_fill_(gone[:, None], UNAVAILABLE)
        top = term.amax((1, 2))
        total = term.sub_(top[:, None, None]).exp_().sum((1, 2))
        ctx.save_for_backward(flat, embedding, term, total)
        return total.log() + top

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Shares times the gradient."""
        flat, embedding, term, total = ctx.saved_tensors
        share = term * (grad / total)[:, None, None]
        of_rows = share.flatten(0, 1)
        of_query = (of_rows @ embedding).view(*share.shape[:2], -1)
        return of_query, of_rows.T @ flat, share.sum(2), of_rows.sum(0), None, None
