import numpy as np
import pytest
from scipy import stats

from driftrec.simulators.streams import Draw, Lanes, gumbel, normal, user_keys

LANES = Lanes({"choice": 11, "response": 2, "gradual": 32})


def numbers(seeds: np.ndarray, step: int = 0, episode: int = 0, lanes: Lanes = LANES) -> np.ndarray:
    key = user_keys(seeds, np.full(len(seeds), episode))
    draw = Draw(key, np.full(len(seeds), step), lanes)
    return np.concatenate([draw[purpose] for purpose in lanes.ids], axis=1)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("first", [0, 2**40, -5])
def test_numbers_are_uniform_in_every_lane(first):
    uniform = numbers(first + np.arange(20_000))
    assert (uniform > 0).all() and (uniform < 1).all()
    worst = min(stats.kstest(lane, "uniform").pvalue for lane in uniform.T)
    assert worst > 1e-4 / uniform.shape[1]


def test_one_user_has_uniform_numbers_over_time():
    key = np.repeat(user_keys(np.array([3]), np.array([0])), 20_000)
    uniform = Draw(key, np.arange(20_000), LANES)["gradual"]
    assert min(stats.kstest(lane, "uniform").pvalue for lane in uniform.T) > 1e-5


def test_users_steps_episodes_and_lanes_are_uncorrelated():
    seeds = np.arange(20_000)
    here = numbers(seeds)
    for there in (numbers(seeds + 1), numbers(seeds, step=1), numbers(seeds, episode=1)):
        assert abs(correlation(here, there)) < 4 / np.sqrt(here.size)
    between = np.corrcoef(here.T) - np.eye(here.shape[1])
    assert abs(between).max() < 5.5 / np.sqrt(len(seeds))
    assert abs(correlation(here[:-1], here[1:])) < 4 / np.sqrt(here.size)


def test_squares_and_products_are_uncorrelated_too():
    seeds = np.arange(20_000)
    here, there = numbers(seeds) - 0.5, numbers(seeds, step=1) - 0.5
    assert abs(correlation(here**2, there**2)) < 4 / np.sqrt(here.size)
    assert abs(correlation(here[:, :10] * here[:, 10:20], here[:, 20:30])) < 4 / np.sqrt(200_000)


def test_the_number_of_pairs_in_a_grid_is_that_of_chance():
    uniform = numbers(np.arange(40_000))
    cells = (uniform[:, :-1] * 16).astype(int) * 16 + (uniform[:, 1:] * 16).astype(int)
    for pair in (0, 7, 20, 40):
        assert stats.chisquare(np.bincount(cells[:, pair], minlength=256)).pvalue > 1e-5


def test_a_stream_does_not_depend_on_the_batch():
    together = numbers(np.arange(100), step=7)
    for i in (0, 31, 99):
        np.testing.assert_array_equal(numbers(np.array([i]), step=7)[0], together[i])
    np.testing.assert_array_equal(numbers(np.arange(100)[::-1], step=7)[::-1], together)


def test_a_purpose_keeps_its_numbers_when_others_join():
    seeds = np.arange(10)
    key, zero = user_keys(seeds, seeds * 0), np.zeros(10, np.int64)
    more = Draw(key, zero, Lanes({"new": 5, "response": 2, "choice": 11}))
    before = Draw(key, zero, LANES)
    for purpose in ("response", "choice"):
        np.testing.assert_array_equal(more[purpose], before[purpose])


def test_extra_numbers_are_those_of_the_user_alone():
    draw = Draw(user_keys(np.arange(9), np.zeros(9, int)), np.zeros(9, np.int64), LANES)
    rows = np.array([2, 5])
    extra = draw.extra(rows, "some purpose", 4)
    np.testing.assert_array_equal(extra, draw.extra(np.arange(9), "some purpose", 4)[rows])
    assert not np.array_equal(extra, draw.extra(rows, "another purpose", 4))


def test_normal_numbers_are_normal():
    sample = normal(numbers(np.arange(5_000))[:, 13:45])
    assert sample.shape == (5_000, 32)
    assert stats.kstest(sample.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(sample.T) - np.eye(32)).max() < 5.5 / np.sqrt(5_000)


def test_gumbel_numbers_are_gumbel():
    assert stats.kstest(gumbel(numbers(np.arange(5_000))).ravel(), "gumbel_r").pvalue > 1e-3


def test_normal_numbers_of_a_purpose_are_its_users_alone():
    lanes = Lanes({"choice": 2}, {"taste": 5, "none": 0})
    key, zero = user_keys(np.arange(9), np.zeros(9, int)), np.zeros(9, np.int64)
    together = Draw(key, zero, lanes).normal("taste")
    assert together.shape == (9, 5)
    alone = Draw(key[3:4], zero[3:4], lanes).normal("taste")
    np.testing.assert_array_equal(alone, together[3:4])


def test_normal_numbers_are_no_function_of_the_uniform_ones_of_the_same_purpose():
    lanes = Lanes({"taste": 2}, {"taste": 2})
    draw = Draw(user_keys(np.arange(5_000), np.zeros(5_000, int)), np.zeros(5_000, int), lanes)
    both = np.concatenate((draw["taste"], draw.normal("taste")), axis=1)
    assert abs(np.corrcoef(both.T) - np.eye(4)).max() < 5 / np.sqrt(5_000)
