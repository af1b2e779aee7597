"""The compiled arithmetic against NumPy's, and against itself in batches of other sizes."""

import subprocess
import sys

import numpy as np
import pytest

from driftrec.simulators.compiled import bonuses, draws, kernels

RNG = np.random.default_rng(0)
USERS, SLOTS, DIMS = 200, 7, 13


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def uniforms(*shape):
    return RNG.uniform(1e-6, 1 - 1e-6, shape).astype(np.float32)


def test_logarithms_are_those_of_numpy_to_a_few_units_in_the_last_place():
    x = np.concatenate(
        (np.geomspace(1e-30, 1e30, 10_001), 1 + np.linspace(-0.4, 0.4, 1001))
    ).astype(np.float32)
    found = np.array([draws._log(value) for value in x])
    np.testing.assert_allclose(found, np.log(x.astype(float)), rtol=4e-7, atol=1e-7)


def test_normal_numbers_are_those_of_box_and_muller():
    uniform = uniforms(USERS, 8)
    radius = np.sqrt(-2 * np.log(uniform[:, :4].astype(float)))
    turn = 2 * np.pi * uniform[:, 4:].astype(float)
    expected = np.concatenate((radius * np.cos(turn), radius * np.sin(turn)), axis=1)
    np.testing.assert_allclose(draws.normals(uniform), expected, atol=3e-6)


def test_a_choice_is_the_largest_of_utility_and_gumbel_noise():
    utility, uniform, shift = floats(USERS, SLOTS), uniforms(USERS, SLOTS + 1), floats(SLOTS)
    utility[:, 3] = -np.inf
    total = -np.log(-np.log(uniform))
    total[:, :SLOTS] += utility + shift
    total[:, SLOTS] += 1
    found = draws.choose_logit(utility, uniform, shift, np.float32(1))
    np.testing.assert_array_equal(found, total.argmax(1))
    assert set(found) == {0, 1, 2, 4, 5, 6, 7}


def test_a_pick_falls_where_the_cumulative_weight_passes_the_number():
    weights, uniform = uniforms(USERS, 5), uniforms(2, USERS)
    share = np.cumsum(weights, axis=1) / weights.sum(1, keepdims=True)
    expected = (share[None] >= uniform[..., None]).argmax(-1)
    np.testing.assert_array_equal(draws.pick(weights, uniform), expected)


def test_matches_are_products_of_queries_and_features():
    features, query = floats(50, DIMS), floats(USERS, DIMS)
    items = RNG.integers(0, 50, (USERS, SLOTS), np.int32)
    expected = np.einsum("bkd,bd->bk", features[items], query)
    found = kernels.match(features, query, items)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for row in (0, 77, USERS - 1):  # alone as in the batch, bit for bit
        alone = kernels.match(features, query[[row]], items[[row]])
        np.testing.assert_array_equal(alone[0], found[row])


def test_taste_moves_and_stays_of_length_one():
    taste, anchor, noise = floats(USERS, DIMS), floats(USERS, DIMS), floats(USERS, DIMS)
    expected = 0.75 * taste + 0.25 * anchor + 0.1 * noise
    kernels.wander(taste, anchor, noise, np.float32(0.25), np.float32(0.1))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(taste, expected, atol=1e-6)
    item = RNG.integers(-1, 3, USERS)
    attributes, before = floats(3, DIMS), taste.copy()
    kernels.approach(taste, attributes, item, np.float32(0.5))
    np.testing.assert_array_equal(taste[item < 0], before[item < 0])
    way = (before + attributes[item]) / 2
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    np.testing.assert_allclose(taste[item >= 0], way[item >= 0], atol=1e-6)


def test_items_taken_before_are_found_whatever_their_numbers():
    items = RNG.integers(0, 9, (USERS, SLOTS), np.int32) * 512  # many are equal modulo 1024
    taken = RNG.integers(-1, 9, (USERS, 4), np.int32) * 512
    taken[:, 0] = items[:, 2]
    taken_at, step = np.zeros((USERS, 4), np.int64), np.full(USERS, 3)
    utility, power = np.zeros((USERS, SLOTS), np.float32), np.float32([9, 9, 0.5, 9])
    bonuses.add_by_use(utility, items, taken, taken_at, step, power, np.float32(2))
    count = (items[:, :, None] == taken[:, None]).sum(-1)
    assert count[:, 2].all() and not count.all()
    np.testing.assert_allclose(utility, 2 * np.log1p(0.5 * count), rtol=1e-6)


def test_an_item_is_taken_from_the_first_of_its_slots_only():
    slates = RNG.integers(0, 4, (USERS, SLOTS), np.int32) * 1024 + 5  # all equal modulo 1024
    utility = np.zeros((USERS, SLOTS), np.float32)
    kernels.drop_repeated(utility, slates)
    again = [[item in row[:place] for place, item in enumerate(row)] for row in slates.tolist()]
    np.testing.assert_array_equal(utility == -np.inf, again)
    assert (utility[~np.array(again)] == 0).all()


def test_who_asks_anew_asks_for_the_topic_or_for_nothing():
    order, first, count = np.int32([0, 4, 2, 3, 1]), np.int32([1, 3, 3]), np.int32([2, 0, 2])
    topic, uniform = np.arange(USERS, dtype=np.int32) % 3, uniforms(USERS, 4)
    request = np.full(USERS, 9, np.int32)
    draws.ask(request, uniform, 0.5, 0.4, topic, (order, first, count))
    anew, named = uniform[:, 0] < 0.5, uniform[:, 1] < np.float32(0.4)
    np.testing.assert_array_equal(request == 9, ~anew)
    assert set(request[anew & named & (topic == 0)]) == {4, 2}
    assert set(request[anew & named & (topic == 2)]) == {3, 1}
    assert set(request[anew & (~named | (topic == 1))]) == {0}


def test_topics_follow_from_those_above_or_stay_as_drawn():
    successors = np.int32([[1, 2], [3, 3], [0, 1], [2, 0]])
    drawn = RNG.integers(0, 4, (5, USERS)).astype(np.int32)
    uniform, chain = uniforms(4, 2, USERS), drawn.copy()
    draws.follow(chain, uniform, 0.7, successors)
    branch = (uniform[:, 1] * 2).astype(int)
    expected = np.where(uniform[:, 0] < 0.7, successors[chain[:-1], branch], drawn[1:])
    np.testing.assert_array_equal(chain[1:], expected)
    np.testing.assert_array_equal(chain[0], drawn[0])


def test_shifted_users_change_places_with_the_taste_they_had_before():
    taste, anchor, former, fresh = (floats(USERS, DIMS) for _ in range(4))
    rows, back = np.array([3, 50, 51]), np.zeros(USERS, bool)
    back[50] = True
    before, old = anchor.copy(), former.copy()
    kernels.shift(taste, anchor, former, fresh[:3], rows, back)
    np.testing.assert_array_equal(anchor[rows], [fresh[0], old[50], fresh[2]])
    np.testing.assert_array_equal(taste[rows], anchor[rows])
    np.testing.assert_array_equal(former[rows], before[rows])
    rest = np.setdiff1d(np.arange(USERS), rows)
    np.testing.assert_array_equal(anchor[rest], before[rest])


@pytest.mark.parametrize("outside", [-1, 5, 2**40, -(2**40)])
def test_ids_outside_the_catalogue_are_noticed(outside):
    ids, out = np.arange(5)[None].repeat(3, 0), np.empty((3, 5), np.int32)
    assert kernels.write_ids(out, ids, 5)
    np.testing.assert_array_equal(out, ids)
    ids[1, 3] = outside
    assert not kernels.write_ids(out, ids, 5)


def test_numba_is_loaded_by_the_first_step_only():
    code = (
        "import sys, driftrec.envs as envs\n"
        "env = envs.DriftEnv(history=2)\n"
        "before = 'numba' in sys.modules\n"
        "env.reset(seed=0)\n"
        "print(before, 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
