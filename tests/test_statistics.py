"""Facts about the interquartile mean and the intervals, checked against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from driftrec.experiments.statistics import (
    BootstrapConfig,
    bootstrap,
    bootstrap_advantage,
    bootstrap_difference,
    bootstrap_position,
    improvement_by_user,
    interquartile_mean,
    mean,
    performance_profile,
    probability_of_improvement,
)


@pytest.fixture
def scores(rng: np.random.Generator) -> np.ndarray:
    return rng.gamma(2.0, 0.1, (3, 80))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_interquartile_mean_is_scipys_trimmed_mean_of_all_runs(scores: np.ndarray) -> None:
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores.ravel(), 0.25))


def test_interquartile_mean_by_hand() -> None:
    assert interquartile_mean(np.array([[0.0, 1, 2, 3], [4, 5, 6, 100]])) == 3.5


def test_interquartile_mean_keeps_leading_axes(scores: np.ndarray) -> None:
    two = interquartile_mean(np.stack([scores, scores + 1]))
    assert two.shape == (2,)
    assert two[1] - two[0] == pytest.approx(1)


@pytest.mark.parametrize("statistic", [interquartile_mean, mean])
def test_interval_agrees_with_scipys_bootstrap_for_one_seed(
    rng: np.random.Generator, statistic: object
) -> None:
    users = rng.gamma(2.0, 0.1, 300)
    ours = bootstrap(users[None], statistic, config=BootstrapConfig(resamples=4000))  # type: ignore[arg-type]
    trim = 0.25 if statistic is interquartile_mean else 0.0
    theirs = stats.bootstrap(
        (users,),
        lambda x, axis: stats.trim_mean(x, trim, axis=axis),
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.1 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.1 * width)


def test_mean_interval_has_the_textbook_width(rng: np.random.Generator) -> None:
    users = rng.normal(0, 1, (1, 1000))
    interval = bootstrap(users, mean)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.1)


def test_interval_widens_with_the_luck_of_training(rng: np.random.Generator) -> None:
    users = rng.normal(0, 0.01, (1, 500))
    same = bootstrap(np.repeat(users, 3, 0), mean)
    lucky = bootstrap(users + np.array([[-0.2], [0.0], [0.2]]), mean)
    assert lucky.high - lucky.low > 5 * (same.high - same.low)


def test_pairing_by_user_cancels_what_users_share(rng: np.random.Generator) -> None:
    users = rng.normal(0, 1, (1, 400))
    paired = bootstrap_difference(users + 0.01, users, mean)
    alone = bootstrap(users, mean)
    assert paired.low == pytest.approx(0.01) and paired.high == pytest.approx(0.01)
    assert alone.high - alone.low > 0.1


def test_strata_hold_the_share_of_each_group(rng: np.random.Generator) -> None:
    strata = np.repeat([0, 1], 100)
    scores = np.where(strata == 0, 0.0, 10.0)[None] + rng.normal(0, 0.01, (1, 200))
    within = bootstrap(scores, mean, strata)
    across = bootstrap(scores, mean)
    assert within.high - within.low < 0.01 < across.high - across.low


def test_improvement_by_hand_counts_ties_half() -> None:
    ours = np.array([[1.0, 0.0], [2.0, 5.0]])
    theirs = np.array([[1.0, 3.0]])
    assert improvement_by_user(ours, theirs).tolist() == [0.75, 0.5]
    assert probability_of_improvement(ours, theirs).estimate == pytest.approx(0.625)


def test_improvement_is_mann_whitneys_u_for_one_user(rng: np.random.Generator) -> None:
    ours, theirs = rng.normal(0.3, 1, (9, 1)), rng.normal(0, 1, (7, 1))
    u = stats.mannwhitneyu(ours[:, 0], theirs[:, 0]).statistic
    assert improvement_by_user(ours, theirs)[0] == pytest.approx(u / 63)


def test_same_seed_same_interval(scores: np.ndarray) -> None:
    assert bootstrap(scores) == bootstrap(scores)
    assert bootstrap(scores) != bootstrap(scores, config=BootstrapConfig(seed=1))


def test_chunks_do_not_change_the_number_of_resamples(
    scores: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counted(sample: np.ndarray) -> np.ndarray:
        seen.append(len(sample))
        return mean(sample)

    monkeypatch.setattr("driftrec.experiments.statistics._CHUNK", 7 * scores.size)
    bootstrap(scores, counted, config=BootstrapConfig(resamples=50))
    assert sum(seen) == 51  # the estimate itself is the 51st


@pytest.mark.parametrize(
    ("ours", "message"),
    [
        (np.ones(3), r"\[seeds, users\], got \(3,\)"),
        (np.array([[np.nan, 1.0]]), "must be finite"),
        (np.ones((1, 0)), "seeds, users"),
    ],
)
def test_refuses_what_is_no_matrix(ours: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(ours)


def test_refuses_other_users() -> None:
    with pytest.raises(ValueError, match="same 4 users as ours, got 5"):
        bootstrap_difference(np.ones((1, 4)), np.ones((1, 5)))


def test_refuses_strata_of_another_length() -> None:
    with pytest.raises(ValueError, match="strata"):
        bootstrap(np.ones((1, 4)), strata=np.zeros(3, int))


def test_refuses_an_impossible_confidence() -> None:
    with pytest.raises(ValueError, match="confidence must be in"):
        BootstrapConfig(confidence=95)


# --- advantage as a share -------------------------------------------------------------------------


def test_a_constant_advantage_has_no_uncertainty_because_users_are_paired(
    rng: np.random.Generator,
) -> None:
    theirs = rng.gamma(2.0, 0.1, (1, 80))
    gap = bootstrap_advantage(1.5 * theirs, theirs)
    assert (gap.estimate, gap.low, gap.high) == pytest.approx((0.5, 0.5, 0.5))


def test_advantage_is_the_ratio_of_the_statistics(scores: np.ndarray) -> None:
    theirs = scores[:1] ** 2
    gap = bootstrap_advantage(scores, theirs, mean)
    assert gap.estimate == pytest.approx(scores.mean() / theirs.mean() - 1)
    assert gap.low < gap.estimate < gap.high


def test_there_is_no_share_of_nothing(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="theirs must be above zero"):
        bootstrap_advantage(scores, np.zeros((1, 80)))


# --- performance profiles -------------------------------------------------------------------------


def brute_force_profile(tasks: list[np.ndarray], threshold: float) -> float:
    """The definition, counted run by run."""
    shares = []
    for task in tasks:
        above = [1 if task[s, u] > threshold else 0 for s, u in np.ndindex(*task.shape)]
        shares.append(sum(above) / len(above))
    return sum(shares) / len(shares)


def test_a_profile_is_the_share_of_runs_above_each_threshold(rng: np.random.Generator) -> None:
    tasks = [rng.gamma(2.0, 0.3, (3, 20)), rng.gamma(4.0, 0.3, (2, 50))]
    thresholds = np.append(np.linspace(0, 2, 9), tasks[0][1, 4])  # one that a run exactly meets
    profile = performance_profile(tasks, thresholds)
    assert profile.share == pytest.approx([brute_force_profile(tasks, t) for t in thresholds])


def test_the_band_of_a_profile_is_that_of_runs_drawn_one_by_one(rng: np.random.Generator) -> None:
    tasks = [rng.gamma(2.0, 0.3, (3, 15)), rng.gamma(4.0, 0.3, (2, 12))]
    thresholds = np.array([0.4, 0.8, 1.2])
    drawn = []
    for _ in range(2000):
        again = []
        for task in tasks:
            seeds, users = (rng.integers(0, n, n) for n in task.shape)
            again.append(task[np.ix_(seeds, users)])
        drawn.append([np.mean([(task > t).mean() for task in again]) for t in thresholds])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    profile = performance_profile(tasks, thresholds)
    assert profile.low == pytest.approx(low, abs=0.03)
    assert profile.high == pytest.approx(high, abs=0.03)


def test_the_area_under_a_profile_is_the_mean_score(rng: np.random.Generator) -> None:
    task = rng.uniform(0, 1, (2, 40))
    thresholds = (np.arange(2000) + 0.5) / 2000
    assert performance_profile([task], thresholds).share.mean() == pytest.approx(
        task.mean(), abs=1e-3
    )


def test_a_profile_needs_tasks() -> None:
    with pytest.raises(ValueError, match="at least one task, got none"):
        performance_profile([], np.array([0.5]))


def test_a_position_is_told_from_floor_to_ceiling() -> None:
    rng = np.random.default_rng(3)
    floor = rng.uniform(1, 2, (1, 200))
    ceiling = floor + rng.uniform(0.5, 1.5, (1, 200))
    ours = floor + 0.7 * (ceiling - floor)
    exact = bootstrap_position(ours, floor, ceiling, mean)
    assert exact.low == pytest.approx(0.7) and exact.high == pytest.approx(0.7)
    noisy = bootstrap_position(ours + rng.normal(0, 0.5, (3, 200)), floor, ceiling)
    assert noisy.low < 0.7 < noisy.high and noisy.high - noisy.low < 0.4
    assert bootstrap_position(ceiling, floor, ceiling).low == 1


def test_there_is_no_position_between_what_does_not_lie_in_order() -> None:
    scores = np.ones((1, 20))
    with pytest.raises(ValueError, match="ceiling must be above floor"):
        bootstrap_position(scores, scores, scores)
    with pytest.raises(ValueError, match="same 20 users"):
        bootstrap_position(scores, scores, np.ones((1, 10)))
