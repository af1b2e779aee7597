"""Losses as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor


def choice_loss(
    scores: Tensor, slates: Tensor, feedback: Tensor, choice: Tensor, alive: Tensor
) -> Tensor:
    """Negative log-likelihood of what was taken from each slate, or of nothing.

    P(slot k) = exp(s_k / tau + c k) / (exp(o) + sum_i exp(s_i / tau + c i)), a multinomial logit
    with position and outside option (McFadden, 1974); weighted by the grade of what was taken, so
    that an item watched to its end counts for more than one left at once.

    Args:
        scores: [B, T, N] of the items.
        slates: [B, T, K].
        feedback: [B, T, K] graded, at most one above 0.
        choice: [3] log tau, c, o.
        alive: [B, T] weight of each step.
    """
    slots = torch.arange(slates.shape[2], dtype=scores.dtype)
    utility = scores.gather(2, slates.clamp_min(0)) * torch.exp(-choice[0]) + choice[1] * slots
    outside = choice[2].expand(*utility.shape[:2], 1)
    log_share = torch.cat((utility, outside), 2).log_softmax(2)
    grade, taken = feedback.max(2)
    slot = torch.where(grade > 0, taken, slates.shape[2])
    weight = alive * torch.where(grade > 0, 0.5 + grade, torch.ones_like(grade))
    return -(log_share.gather(2, slot[..., None])[..., 0] * weight).sum() / weight.sum()


def teacher_loss(
    scores: Tensor, teacher: Tensor, alive: Tensor, temperature: float = 0.5
) -> Tensor:
    """Cross-entropy of the policy's first slot to a teacher's: softmax(teacher / temperature).

    Args:
        scores: [B, T, N] log-odds of the policy.
        teacher: [B, T, N] log-odds of the teacher.
        alive: [B, T] weight of each step.
        temperature: below 1 the teacher insists on its best items.
    """
    target = (teacher / temperature).softmax(2)
    return ((scores.logsumexp(2) - (target * scores).sum(2)) * alive).sum() / alive.sum()


def clipped_surrogate(
    log_prob: Tensor, old: Tensor, advantage: Tensor, clip: float, alive: Tensor
) -> Tensor:
    """Negative of min(rho A, clip(rho, 1 - c, 1 + c) A), per slot.

    Source: Schulman, Wolski, Dhariwal, Radford & Klimov (2017), "Proximal policy optimization",
    eq. 7.

    Args:
        log_prob: [B, T, K] now.
        old: [B, T, K] when drawn.
        advantage: [B, T, K].
        clip: c.
        alive: [B, T] weight of each step.
    """
    ratio = (log_prob - old).exp()
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -(gain.mean(2) * alive).sum() / alive.sum()


def score_function(log_prob: Tensor, advantage: Tensor, alive: Tensor) -> Tensor:
    """Negative of log pi(a) A, per slot; its gradient is the policy's.

    Source: Williams (1992), "Simple statistical gradient-following algorithms", REINFORCE.

    Args:
        log_prob: [B, T, K].
        advantage: [B, T, K].
        alive: [B, T] weight of each step.
    """
    return -((log_prob * advantage).mean(2) * alive).sum() / alive.sum()
