"""The compiled arithmetic against NumPy's, and against itself in batches of other sizes."""

import subprocess
import sys

import numpy as np
import pytest

from driftrec.simulators.compiled import draws, kernels

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
    items = RNG.integers(0, 300, (USERS, SLOTS), np.int32)  # many are equal modulo 64
    taken = RNG.integers(-1, 300, (USERS, 4), np.int32)
    taken[:, 0] = items[:, 2]
    taken_at, step = np.zeros((USERS, 4), np.int64), np.full(USERS, 3)
    utility, power = np.zeros((USERS, SLOTS), np.float32), np.float32([9, 9, 0.5, 9])
    kernels.add_by_use(utility, items, taken, taken_at, step, power, np.float32(2))
    count = (items[:, :, None] == taken[:, None]).sum(-1)
    assert count[:, 2].all() and not count.all()
    np.testing.assert_allclose(utility, 2 * np.log1p(0.5 * count), rtol=1e-6)


@pytest.mark.parametrize("outside", [-1, 5, 2**40, -(2**40)])
def test_ids_outside_the_catalogue_are_noticed(outside):
    ids = np.arange(5)[None].repeat(3, 0)
    assert kernels.none_outside(ids, 5)
    ids[1, 3] = outside
    assert not kernels.none_outside(ids, 5)


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
