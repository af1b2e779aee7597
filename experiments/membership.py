"""Membership inference: does a fitted model tell whether a user was in its log?

The attacker knows a user's whole history, the law of the fit, and many fits on other draws of the
same users (shadows); the question is whether the target's loss on the user looks more like that of
fits with the user or without. Source: Carlini et al. (2022), "Membership inference attacks from
first principles" (LiRA), the online attack with one variance a user, on the loss in place of its
logit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from .statistics import BootstrapConfig, Interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def halves(models: int, users: int, generator: np.random.Generator) -> Bools:
    """[M, U] who is in the log of which model: half of the users, each user in half of the models.

    Raises:
        ValueError: unless there are at least four models, or for odd numbers.
    """
    if models < 4 or models % 2 or users < 2 or users % 2:
        raise ValueError(f"models (at least 4) and users must be even, got {models} and {users}")
    member = np.zeros((models, users), bool)
    for first in range(0, models, 2):  # a model and its complement
        member[first, generator.permutation(users)[: users // 2]] = True
        member[first + 1] = ~member[first]
    return member


def losses(fit: Callable[[npt.NDArray[np.int64]], Floats], member: Bools) -> Floats:
    """[M, U] what ``fit`` on the members' numbers gives as loss on each user."""
    return np.stack([fit(np.flatnonzero(row)) for row in member])


def likelihood_ratios(loss: Floats, member: Bools) -> Floats:
    """[M, U] log of how much likelier a loss is with the user than without.

    Each model in turn is the target, all others are the shadows.

    Args:
        loss: [M, U] of each model on each user.
        member: [M, U] whether the user was in its log.
    """
    scores = np.empty_like(loss)
    for target in range(len(loss)):
        shadow = np.arange(len(loss)) != target
        seen, inside = loss[shadow], member[shadow]
        spread = np.where(inside, seen - _mean(seen, inside), seen - _mean(seen, ~inside)).var(0)
        # A mean of few shadows is itself uncertain: the distance to it is larger by 1 + 1 / n.
        far = [
            (loss[target] - _mean(seen, rows)) ** 2 / (1 + 1 / rows.sum(0))
            for rows in (inside, ~inside)
        ]
        scores[target] = (far[1] - far[0]) / (2 * spread + 1e-12)
    return scores


def _mean(values: Floats, rows: Bools) -> Floats:
    return np.where(rows, values, 0).sum(0) / rows.sum(0)


def area(scores: Floats, member: Bools) -> float:
    """Area under the ROC: the probability that a member scores above a stranger, ties half."""
    inside = member.ravel()
    rank = rankdata(scores.ravel())
    count = int(inside.sum())
    return float((rank[inside].sum() - count * (count + 1) / 2) / (count * (inside.size - count)))


def attack(
    loss: Floats, member: Bools, config: BootstrapConfig | None = None
) -> dict[str, Interval]:
    """Area under the ROC of two attacks, with intervals over users.

    Returns:
        ``threshold``: the loss alone, low for members; ``ratio``: ``likelihood_ratios``.
    """
    config = config or BootstrapConfig(resamples=1000)
    scores = {"threshold": -loss, "ratio": likelihood_ratios(loss, member)}
    rng = np.random.default_rng(config.seed)
    drawn = rng.integers(loss.shape[1], size=(config.resamples, loss.shape[1]))
    tail = (1 - config.confidence) / 2
    found = {}
    for name, score in scores.items():
        samples = [area(score[:, users], member[:, users]) for users in drawn]
        low, high = np.quantile(samples, [tail, 1 - tail])
        found[name] = Interval(area(score, member), float(low), float(high))
    return found
