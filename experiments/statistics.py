"""Interquartile means, bootstrap intervals and paired comparisons over seeds and users.

Scores come as a matrix ``[S, U]``: S training seeds (1 for an agent that is not trained) by U
users, who are the same for every agent. The bootstrap resamples both: seeds with replacement,
and users with replacement within their stratum, so an interval covers the luck of training as
well as the luck of whom one met.

Sources: Agarwal et al. (2021), "Deep RL at the edge of the statistical precipice", for the
interquartile mean, the probability of improvement and the performance profile; Efron & Tibshirani
(1993), chapter 13, for the percentile interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]
Statistic = Callable[[Floats], Floats]

_CHUNK = 2_000_000  # numbers resampled at a time: bounds the memory


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class BootstrapConfig:
    """How a bootstrap resamples.

    Attributes:
        resamples: how many bootstrap samples.
        confidence: mass of the interval, in (0, 1).
        seed: of the resamples.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ValueError(f"resamples must be at least 1, got {self.resamples}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be in (0, 1), got {self.confidence}")


def interquartile_mean(scores: Floats) -> Floats:
    """Mean of the middle half of all scores, ``[..., S, U] -> [...]``."""
    flat = np.asarray(scores).reshape(*np.shape(scores)[:-2], -1)
    return np.asarray(stats.trim_mean(flat, 0.25, axis=-1))


def mean(scores: Floats) -> Floats:
    """Mean over seeds and users, ``[..., S, U] -> [...]``."""
    return np.asarray(np.mean(scores, axis=(-2, -1)))


def bootstrap(
    scores: Floats,
    statistic: Statistic = interquartile_mean,
    strata: Integers | None = None,
    config: BootstrapConfig | None = None,
) -> Interval:
    """Percentile interval of ``statistic`` over training seeds and users.

    Args:
        scores: [S, U] score of each training seed on each user.
        statistic: ``[R, S, U] -> [R]``.
        strata: [U] group of each user; users are resampled within their group. None: one group.
        config: how to resample.

    Returns:
        The statistic of ``scores`` and its interval.

    Raises:
        ValueError: where the scores are no finite matrix.
    """
    return _bootstrap([_checked(scores, "scores")], lambda a: statistic(a[0]), strata, config)


def bootstrap_difference(
    ours: Floats,
    theirs: Floats,
    statistic: Statistic = interquartile_mean,
    strata: Integers | None = None,
    config: BootstrapConfig | None = None,
) -> Interval:
    """Interval of ``statistic(ours) - statistic(theirs)``, paired by user.

    Both sides see the same resampled users, so what users have in common cancels out. Training
    seeds are drawn apart: seed 1 of one algorithm has nothing to do with seed 1 of another.

    Args:
        ours: [S, U] scores.
        theirs: [S', U] scores on the same users.
        statistic: ``[R, S, U] -> [R]``.
        strata: [U] group of each user.
        config: how to resample.

    Returns:
        The difference and its interval.

    Raises:
        ValueError: where the users differ or the scores are no finite matrices.
    """
    sides = _pair(ours, theirs)
    return _bootstrap(sides, lambda s: statistic(s[0]) - statistic(s[1]), strata, config)


def bootstrap_advantage(
    ours: Floats,
    theirs: Floats,
    statistic: Statistic = interquartile_mean,
    strata: Integers | None = None,
    config: BootstrapConfig | None = None,
) -> Interval:
    """Interval of ``statistic(ours) / statistic(theirs) - 1``, paired by user.

    Args:
        ours: [S, U] scores.
        theirs: [S', U] scores on the same users.
        statistic: ``[R, S, U] -> [R]``.
        strata: [U] group of each user.
        config: how to resample.

    Returns:
        The advantage, 0.5 for half as much again, and its interval.

    Raises:
        ValueError: as :func:`bootstrap_difference`, and where theirs is not above zero.
    """
    sides = _pair(ours, theirs)
    if not statistic(sides[1][None])[0] > 0:
        raise ValueError("theirs must be above zero on the whole, for a ratio to it")
    return _bootstrap(sides, lambda s: statistic(s[0]) / statistic(s[1]) - 1, strata, config)


def bootstrap_position(
    ours: Floats,
    floor: Floats,
    ceiling: Floats,
    statistic: Statistic = interquartile_mean,
    strata: Integers | None = None,
    config: BootstrapConfig | None = None,
) -> Interval:
    """Interval of ``(ours - floor) / (ceiling - floor)``, each by ``statistic``, paired by user.

    Args:
        ours: [S, U] scores.
        floor: [S', U] scores on the same users, what counts as 0.
        ceiling: [S'', U] scores on the same users, what counts as 1.
        statistic: ``[R, S, U] -> [R]``.
        strata: [U] group of each user.
        config: how to resample.

    Raises:
        ValueError: as :func:`bootstrap_difference`, and where the ceiling is not above the floor.
    """
    sides = [*_pair(ours, floor), _pair(ours, ceiling)[1]]
    if not statistic(sides[2][None])[0] > statistic(sides[1][None])[0]:
        raise ValueError("ceiling must be above floor on the whole, for a position between them")

    def position(drawn: list[Floats]) -> Floats:
        at, low, high = (statistic(side) for side in drawn)
        return (at - low) / (high - low)

    return _bootstrap(sides, position, strata, config)


def improvement_by_user(ours: Floats, theirs: Floats) -> Floats:
    """Share of pairs of seeds in which ``ours`` is ahead, ties counting half, for each user.

    Args:
        ours: [..., S, U] scores.
        theirs: [..., S', U] scores.

    Returns:
        [..., U] in [0, 1].
    """
    gap = ours[..., :, None, :] - theirs[..., None, :, :]  # [..., S, S', U]
    return np.asarray(((gap > 0) + 0.5 * (gap == 0)).mean((-3, -2)))


def probability_of_improvement(
    ours: Floats,
    theirs: Floats,
    strata: Integers | None = None,
    config: BootstrapConfig | None = None,
) -> Interval:
    """P(a run of ours scores above a run of theirs on a user), with its interval.

    Raises:
        ValueError: where the users differ or the scores are no finite matrices.
    """
    sides = _pair(ours, theirs)
    return _bootstrap(sides, lambda s: improvement_by_user(s[0], s[1]).mean(-1), strata, config)


@dataclass(frozen=True)
class Profile:
    """A performance profile with its pointwise bootstrap band.

    Attributes:
        threshold: [M] scores.
        share: [M] share of runs above each.
        low: [M] lower end of the band.
        high: [M] upper end.
    """

    threshold: Floats
    share: Floats
    low: Floats
    high: Floats


def performance_profile(
    tasks: Sequence[Floats], thresholds: Floats, config: BootstrapConfig | None = None
) -> Profile:
    """Share of runs that score above each threshold, all tasks weighing the same.

    The run-score distribution of Agarwal et al. (2021), section 4.2, where a run is a training seed
    with a user: F(t) = 1/M sum_m 1/(S U) sum_su 1[x_msu > t]. The bootstrap draws seeds and users
    of every task apart, so tasks are its strata.

    Args:
        tasks: [S, U] scores of each task, in units that make tasks comparable.
        thresholds: [M].
        config: how to resample.

    Raises:
        ValueError: for no tasks, or scores that are no finite matrix.
    """
    if not tasks:
        raise ValueError("tasks must hold the scores of at least one task, got none")
    config = config or BootstrapConfig()
    thresholds, rng = np.asarray(thresholds, np.float64), np.random.default_rng(config.seed)
    above = [  # [S, U, M]
        (_checked(task, "tasks")[:, :, None] > thresholds).astype(np.float64) for task in tasks
    ]
    drawn = np.mean([_resampled_means(rng, task, config.resamples) for task in above], axis=0)
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    share = np.mean([task.mean((0, 1)) for task in above], axis=0)
    return Profile(thresholds, share, low, high)


def _resampled_means(rng: np.random.Generator, values: Floats, resamples: int) -> Floats:
    """[R, M] means of ``[S, U, M]`` over seeds and users drawn anew: how often each was drawn."""
    num_seeds, num_users, width = values.shape
    seeds = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), resamples) / num_seeds
    users = rng.multinomial(num_users, np.full(num_users, 1 / num_users), resamples) / num_users
    by_user = users @ np.swapaxes(values, 0, 1).reshape(num_users, -1)  # [R, S * M]
    return np.asarray(np.einsum("rs,rsm->rm", seeds, by_user.reshape(-1, num_seeds, width)))


def _bootstrap(
    sides: Sequence[Floats],
    statistic: Callable[[list[Floats]], Floats],
    strata: Integers | None,
    config: BootstrapConfig | None,
) -> Interval:
    config = config or BootstrapConfig()
    num_users = sides[0].shape[1]
    groups = np.zeros(num_users, np.int64) if strata is None else np.asarray(strata)
    if groups.shape != (num_users,):
        raise ValueError(f"strata must have shape {(num_users,)}, got {groups.shape}")
    samples = []
    for seeds, users in _draws(np.random.default_rng(config.seed), sides, groups, config):
        rows = [seed[:, :, None] for seed in seeds]
        drawn = [side[row, users[:, None, :]] for side, row in zip(sides, rows, strict=True)]
        samples.append(statistic(drawn))
    estimate = statistic([side[None] for side in sides])[0]
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(np.concatenate(samples), [tail, 1 - tail])
    return Interval(float(estimate), float(low), float(high))


def _draws(
    rng: np.random.Generator, sides: Sequence[Floats], groups: Integers, config: BootstrapConfig
) -> Iterator[tuple[list[Integers], Integers]]:
    """Yield the seeds ``[R, S]`` of each side and the users ``[R, U]`` that they share."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    chunk = max(1, _CHUNK // sum(side.size for side in sides))
    for start in range(0, config.resamples, chunk):
        size = min(chunk, config.resamples - start)
        users = np.concatenate([m[rng.integers(0, len(m), (size, len(m)))] for m in members], 1)
        seeds: list[Integers] = [rng.integers(0, len(side), (size, len(side))) for side in sides]
        yield seeds, users


def _pair(ours: Floats, theirs: Floats) -> list[Floats]:
    sides = [_checked(ours, "ours"), _checked(theirs, "theirs")]
    if sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(
            f"theirs must hold the same {sides[0].shape[1]} users as ours, got {sides[1].shape[1]}"
        )
    return sides


def _checked(scores: Floats, name: str) -> Floats:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"{name} must have shape [seeds, users], got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return scores
