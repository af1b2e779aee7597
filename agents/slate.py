"""The slate policy: Plackett-Luce over item scores."""

from __future__ import annotations

import torch
from torch import Tensor

UNAVAILABLE = -1e9  # score of what is not to be had: below any other, and still a number


def sample_slate(scores: Tensor, size: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws slates without replacement by Gumbel top-k.

    Source: Kool, van Hoof & Welling (2019), "Stochastic beams and where to find them".

    Args:
        scores: [..., N] log-odds; -inf takes an item away.
        size: K.
        generator: of the noise.

    Returns:
        [..., K] item ids, in the order drawn.
    """
    uniform = torch.rand(scores.shape, generator=generator, device=scores.device)
    noise = -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))
    return (scores + noise).topk(size, dim=-1).indices


def log_probability(chosen: Tensor, total: Tensor) -> Tensor:
    """Log-probability of each slot of a Plackett-Luce slate given the slots above it.

    log pi(a_k | a_1..a_{k-1}) = s_{a_k} - log sum_{j not in a_1..a_{k-1}} exp(s_j).
    Source: Plackett (1975), "The analysis of permutations". The remaining mass is the whole less
    what is taken, in double precision. Where fewer items are to be had than there are slots, what
    fills the others was no choice and counts 0.

    Args:
        chosen: [..., K] scores of the slate's items.
        total: [...] log of the sum of exp(score) over all items.

    Returns:
        [..., K]; their sum is the log-probability of the slate.
    """
    total = total[..., None]
    share = (chosen - total).double().exp()
    above = share.cumsum(-1) - share
    drawn = chosen - total - torch.log((1 - above).clamp_min(1e-9)).to(chosen.dtype)
    return drawn.where(chosen > UNAVAILABLE / 2, 0)


def entropy(scores: Tensor) -> Tensor:
    """[..., N] -> [...] entropy of the first slot, in nats: what is held up against collapse."""
    log_share = scores.log_softmax(-1)
    return -(log_share.exp() * log_share.clamp_min(-60)).sum(-1)


def draw_one(share: Tensor) -> Tensor:
    """[...] an index each, by shares [..., N]: where their running sum passes a uniform number."""
    total = share.cumsum(-1)
    level = (1 - torch.rand(*share.shape[:-1], 1)) * total[..., -1:]
    return torch.searchsorted(total, level)[..., 0]
