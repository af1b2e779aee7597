from dataclasses import replace

import numpy as np
import pytest

from driftrec.envs.config import make_simulator
from driftrec.simulators import CascadeChoice, LogitChoice, Simulator, load_domain

CHOICES = [LogitChoice(outside=1.5, position=0.8), CascadeChoice(outside=1.5, position=0.8)]
UTILITY = np.float32([2.0, 1.0, 3.0, -1.0, 2.0])
DRAWS = 200_000
by_name = pytest.mark.parametrize("choice", CHOICES, ids=lambda c: type(c).__name__)


def frequencies(choice, utility, rng, size: int = DRAWS) -> np.ndarray:
    uniform = rng.uniform(1e-7, 1 - 1e-7, (size, choice.draws(len(utility)))).astype(np.float32)
    chosen = choice.choose(np.tile(np.float32(utility), (size, 1)), uniform)
    return np.bincount(chosen, minlength=len(utility) + 1) / size


@by_name
def test_choices_are_as_frequent_as_their_probability(choice, rng):
    expected = choice.probability(UTILITY[None])[0]
    error = np.sqrt(expected * (1 - expected) / DRAWS)
    assert (abs(frequencies(choice, UTILITY, rng) - expected) < 4.5 * error + 1e-5).all()


@by_name
def test_probabilities_sum_to_1(choice, rng):
    utility = rng.normal(0, 5, (50, 4, 7)).astype(np.float32)
    probability = choice.probability(utility)
    assert probability.shape == (50, 4, 8) and (probability >= -1e-6).all()
    np.testing.assert_allclose(probability.sum(-1), 1, atol=1e-5)


def test_logit_is_the_softmax_with_an_outside_option():
    weight = np.exp(UTILITY) * 0.8 ** np.arange(5)
    expected = np.append(weight, np.exp(1.5)) / (weight.sum() + np.exp(1.5))
    np.testing.assert_allclose(CHOICES[0].probability(UTILITY[None])[0], expected, rtol=1e-5)


def test_cascade_takes_the_first_that_attracts():
    attract = 1 / (1 + np.exp(1.5 - UTILITY))
    expected, reads = [], 1.0
    for a in attract:
        expected.append(reads * a)
        reads *= 0.8 * (1 - a)
    np.testing.assert_allclose(CHOICES[1].probability(UTILITY[None])[0, :5], expected, rtol=1e-5)


@by_name
def test_what_stands_higher_is_taken_more_often(choice):
    probability = choice.probability(np.zeros((1, 6), np.float32))[0, :6]
    assert (np.diff(probability) < 0).all()
    if isinstance(choice, LogitChoice):
        np.testing.assert_allclose(probability[1:] / probability[:-1], 0.8, rtol=1e-5)


@by_name
def test_without_position_bias_the_logit_ignores_order_and_the_cascade_does_not(choice):
    fair = replace(choice, position=1.0)
    there = fair.probability(UTILITY[None])[0, :5]
    back = fair.probability(UTILITY[None, ::-1])[0, :5][::-1]
    assert np.allclose(there, back, rtol=1e-5) == isinstance(choice, LogitChoice)


@by_name
def test_more_attractive_alternatives_take_from_an_item(choice):
    better = UTILITY.copy()
    better[0] += 2
    before, after = choice.probability(np.stack([UTILITY, better]))
    assert after[0] > before[0] and (after[1:] < before[1:]).all()


@by_name
@pytest.mark.parametrize("dead", [[0], [4], [0, 1, 2], [0, 1, 2, 3, 4]])
def test_dead_slots_are_never_taken(choice, dead, rng):
    utility = UTILITY.copy()
    utility[dead] = -np.inf
    assert (frequencies(choice, utility, rng, 20_000)[dead] == 0).all()
    probability = choice.probability(utility[None])[0]
    assert (probability[dead] == 0).all() and np.isfinite(probability).all()


@by_name
def test_an_item_repeated_in_a_slate_gains_nothing(choice):
    sim = make_simulator("plain", slate_size=4, history=3, drift="none")
    sim = Simulator(replace(sim.domain, choice=choice), sim.world, slate_size=4, history=3)
    users = sim.start(np.arange(500), np.zeros(500, np.int64))[0]
    slates = np.tile(np.int32([7, 7, 9, 7]), (500, 1))
    outcome, _ = sim.step(users, slates)
    assert set(outcome.choice) <= {0, 2, 4}
    np.testing.assert_allclose(
        sim.expected_reward(users, np.tile(np.int32([7, 9, 9, 9]), (500, 1))),
        sim.expected_reward(users, np.tile(np.int32([7, 9, 7, 7]), (500, 1))),
    )


@by_name
def test_expected_reward_is_that_of_a_monte_carlo(choice):
    video = make_simulator("video", slate_size=4, history=3, drift="none")
    domain = replace(load_domain("video"), choice=replace(choice, outside=4.0))
    sim = Simulator(domain, video.world, slate_size=4, history=3)
    users = sim.start(np.arange(3), np.zeros(3, np.int64))[0]
    slates = np.int32([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    expected = sim.expected_reward(users, slates)
    for row in range(3):
        many = users.take(np.full(40_000, row))
        many.step[:] = np.arange(40_000)  # each a stream of its own
        reward = sim._answer(many, np.tile(slates[row], (40_000, 1)), _draw(sim, many)).reward
        assert reward.mean() == pytest.approx(
            expected[row], rel=0.01, abs=4 * reward.std() / np.sqrt(40_000)
        )


def _draw(sim: Simulator, users):
    from driftrec.simulators.streams import Draw

    return Draw(users.key, users.step, sim._lanes)


@by_name
def test_no_exchange_of_an_item_improves_the_best_slate(choice, rng):
    world = make_simulator("video", slate_size=4, history=3, drift="none").world
    domain = replace(load_domain("video").with_drift("none", 1), choice=choice)
    sim = Simulator(domain, world, slate_size=4, history=3)
    users = sim.start(np.arange(50), np.zeros(50, np.int64))[0]
    slates, best = sim.best_slate(users, rounds=8)
    most = best.copy()
    for _ in range(60):
        other = slates.copy()
        other[:, rng.integers(4)] = rng.integers(len(world.catalog))
        np.maximum(most, sim.expected_reward(users, other), out=most)
    # for the cascade it is only close to the best
    slack = 1e-3 if isinstance(choice, LogitChoice) else 0.02
    assert (most / best).mean() < 1 + slack


def test_what_is_gained_names_the_best_slate_and_what_takes_away_from_it():
    video = make_simulator("video", slate_size=4, history=3, drift="none")
    domain = replace(load_domain("video").with_drift("none", 1), choice=LogitChoice(5.0, 1.0))
    sim = Simulator(domain, video.world, slate_size=4, history=3)
    users = sim.start(np.arange(40), np.zeros(40, np.int64))[0]
    slates, best = sim.best_slate(users)
    gain = sim.log_gain(users)
    fourth = np.sort(gain, axis=1)[:, -4]  # where fewer than four gain anything, others tie
    assert (np.take_along_axis(gain, slates.astype(np.int64), 1).min(1) >= fourth).all()
    # what is gained least of the likely lowers the slate's reward where it takes the last place
    likely = np.argsort(-sim.utility_of_all(users), axis=1)[:, :20]
    worst = likely[np.arange(40), np.take_along_axis(gain, likely, 1).argmin(1)].astype(np.int32)
    spoiled = np.concatenate((slates[:, :3], worst[:, None]), axis=1)
    assert (sim.expected_reward(users, spoiled) < best * 0.999).all()
    # with none of the slate's own reward reckoned with, it is odds times reward
    utility = sim.utility_of_all(users)
    alone = utility + np.log(domain.response.expected_reward(utility, sim.worth))
    np.testing.assert_allclose(
        np.diff(sim.log_gain(users, attained=0.0)), np.diff(alone), rtol=1e-3, atol=1e-2
    )
