"""Losses as pure functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

FeedbackLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def choice_loss(shown: Tensor, feedback: Tensor, choice: Tensor, alive: Tensor) -> Tensor:
    """Negative log-likelihood of what was taken from each slate, or of nothing.

    P(slot k) = exp(s_k / tau + c k) / (exp(o) + sum_i exp(s_i / tau + c i)), a multinomial logit
    with position and outside option (McFadden, 1974); weighted by the grade of what was taken, so
    that an item watched to its end counts for more than one left at once. Where several were taken
    each counts as a choice of its own.

    Args:
        shown: [B, T, K] scores of the items shown.
        feedback: [B, T, K] graded.
        choice: [3] log tau, c, o.
        alive: [B, T] weight of each step.
    """
    slots = torch.arange(shown.shape[2], dtype=shown.dtype)
    utility = shown * torch.exp(-choice[0]) + choice[1] * slots
    outside = choice[2].expand(*utility.shape[:2], 1)
    log_share = torch.cat((utility, outside), 2).log_softmax(2)
    taken = torch.where(feedback > 0, 0.5 + feedback, 0.0)
    none = (taken.amax(2, keepdim=True) == 0).to(taken.dtype)
    weight = alive[..., None] * torch.cat((taken, none), 2)
    return -(log_share * weight).sum() / weight.sum()


def click_loss(shown: Tensor, feedback: Tensor, choice: Tensor, alive: Tensor) -> Tensor:
    """Negative log-likelihood of what was taken, where a slate's items do not compete.

    P(slot k is taken) = sigmoid(s_k / tau + c k - o), slot by slot.

    Args:
        shown: [B, T, K] scores of the items shown.
        feedback: [B, T, K] graded; anything above 0 is taken.
        choice: [3] log tau, c, o.
        alive: [B, T] weight of each step.
    """
    slots = torch.arange(shown.shape[2], dtype=shown.dtype)
    log_odds = shown * torch.exp(-choice[0]) + choice[1] * slots - choice[2]
    taken = (feedback > 0).to(shown.dtype)
    loss = binary_cross_entropy_with_logits(log_odds, taken, reduction="none")
    return (loss.mean(2) * alive).sum() / alive.sum().clamp_min(1)


def fit_choice(
    shown: Tensor,
    feedback: Tensor,
    choice: Tensor,
    alive: Tensor,
    loss: FeedbackLoss = choice_loss,
) -> Tensor:
    """[3] the tau, c and o under which scores as they are explain best what was taken.

    Before they fit, a gradient bends the scores to what is only the scale of the choice. The loss
    is convex in 1 / tau, c and o; a few steps of a quasi-Newton method find its minimum.

    Args:
        shown: and all others, as in ``choice_loss``; ``choice`` is where the search begins.
        feedback: [B, T, K].
        choice: [3].
        alive: [B, T].
        loss: ``choice_loss``, or ``click_loss`` where a slate's items do not compete.
    """
    found = choice.detach().clone().requires_grad_()
    search = torch.optim.LBFGS([found], max_iter=50, line_search_fn="strong_wolfe")

    def value() -> Tensor:
        search.zero_grad()
        now = loss(shown, feedback, found, alive)
        now.backward()
        return now

    search.step(value)
    return found.detach()


def teacher_loss(log_share: Tensor, teacher: Tensor, alive: Tensor) -> Tensor:
    """Cross-entropy of the policy's first slot to a teacher's.

    Args:
        log_share: [B, T, n] log-probability that the policy gives the teacher's n best items.
        teacher: [B, T, n] probabilities that the teacher gives them, rows sum to 1.
        alive: [B, T] weight of each step.
    """
    return -((teacher * log_share).sum(2) * alive).sum() / alive.sum()


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
    return -(gain.mean(2) * alive).sum() / alive.sum().clamp_min(1)


def score_function(log_prob: Tensor, advantage: Tensor, alive: Tensor) -> Tensor:
    """Negative of log pi(a) A, per slot; its gradient is the policy's.

    Source: Williams (1992), "Simple statistical gradient-following algorithms", REINFORCE.

    Args:
        log_prob: [B, T, K].
        advantage: [B, T, K].
        alive: [B, T] weight of each step.
    """
    return -((log_prob * advantage).mean(2) * alive).sum() / alive.sum().clamp_min(1)


def top_k_score_function(
    log_share: Tensor, log_ratio: Tensor, advantage: Tensor, cap: float, alive: Tensor
) -> Tensor:
    """Negative of min(rho, c) lambda_K(pi) log pi(a) A, per slot.

    lambda_K(pi) = K (1 - pi)^(K - 1) is what an item that is all but sure of its place weighs less
    than one that is not, where K places are drawn from pi; rho = pi / beta corrects for slates that
    an earlier policy beta drew. Both are weights: no gradient passes through them.
    Source: Chen, Beutel, Covington, Jain, Belletti & Chi (2019), "Top-K off-policy correction for a
    REINFORCE recommender system".

    Args:
        log_share: [B, T, K] log pi(a), of each item as the first of a slate.
        log_ratio: [B, T, K] log rho, of each slot given the slots above it.
        advantage: [B, T, K].
        cap: c.
        alive: [B, T] weight of each step.
    """
    size = log_share.shape[2]
    with torch.no_grad():
        weight = size * (1 - log_share.exp()).clamp_min(0) ** (size - 1)
        weight = weight * log_ratio.exp().clamp_max(cap)
    return -((weight * log_share * advantage).mean(2) * alive).sum() / alive.sum().clamp_min(1)


def value_loss(value: Tensor, returns: Tensor, alive: Tensor) -> Tensor:
    """Mean squared error of values [B, T] of the returns that followed, of users alive."""
    return ((value - returns).square() * alive).sum() / alive.sum().clamp_min(1)
