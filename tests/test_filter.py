"""The Bayes filter: the likelihoods are the law's, the beliefs are honest, the slates are good."""

import copy
from dataclasses import fields, replace

import gymnasium as gym
import numpy as np
import pytest

from driftrec import agents
from driftrec.agents.assortment import Assortment
from driftrec.agents.particles import Belief, spread_out, systematic, weekly_hours
from driftrec.agents.tracker import Tracker
from driftrec.envs.config import make_simulator
from driftrec.envs.spaces import clock_features
from driftrec.simulators import (
    DRIFTS,
    RESPONSES,
    CascadeChoice,
    LogitChoice,
    Simulator,
    load_domain,
    unit,
)
from driftrec.simulators.drift import AbruptShift, RequestChain, SessionInterest

VIDEO = "driftrec.envs:driftrec/Video-v0"
WORLD = make_simulator("plain", slate_size=5, history=8).world
PLAIN = load_domain("plain").with_drift("none", 1.0)
TELLING = RequestChain(reveal=0.8, weight=2.0)
EVERYTHING = tuple(TELLING if n == "request" else drift() for n, drift in DRIFTS.items())


def simulator(*drift, **knobs) -> Simulator:
    return Simulator(replace(PLAIN, drift=drift, **knobs), WORLD, slate_size=5, history=8)


def observed(sim, users, slates, feedback):
    return {
        "slates": slates,
        "feedback": feedback,
        "request": sim.requests(users),
        "time": clock_features(users.clock),
    }


def begun(sim, num_users=40, particles=64, hazard=0.05, seed=0):
    """True users, the tracker and its belief about them after the warm-up."""
    seeds = seed + np.arange(num_users)
    users, slates, feedback = sim.start(seeds, np.zeros(num_users, np.int64))
    tracker = Tracker(sim, particles, hazard, jitter=0.2)
    key = np.arange(1, num_users + 1).astype(np.uint64)
    return users, tracker, tracker.begin(key, observed(sim, users, slates, feedback))


def follow(sim, users, tracker, belief, steps, seed=0):
    """Random slates, answered by the users and followed by the belief."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        slates = rng.integers(len(WORLD.catalog), size=(len(users), 5)).astype(np.int32)
        outcome, _ = sim.step(users, slates)
        seen = tracker.outcome(slates, outcome.feedback)
        tracker.update(belief, seen, observed(sim, users, slates[:, None], None))


# --- the likelihoods are the law's


@pytest.mark.parametrize("choice", [LogitChoice(1.5, 0.8), CascadeChoice(1.5, 0.8)])
def test_likelihood_of_a_choice_is_its_probability(choice, rng):
    utility = rng.normal(2, 3, (6, 3, 4, 5)).astype(np.float32)  # [B, P, C, K]
    utility[0, ..., 2] = -np.inf
    expected, slots = choice.probability(utility), np.arange(6)
    found = choice.likelihood(np.moveaxis(utility, -1, 0), slots)
    rows = expected[np.arange(6), :, :, slots]
    np.testing.assert_allclose(found, rows, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", RESPONSES)
def test_likelihood_of_a_grade_is_in_proportion_to_how_often_it_comes(name, rng):
    response, utility = RESPONSES[name](), np.float32([2.5, 4.0, 5.0])
    uniform = rng.uniform(1e-6, 1 - 1e-6, (400_000, 2)).astype(np.float32)
    some = np.quantile(response.grade(np.full(400_000, 4, np.float32), uniform), [0.3, 0.6])
    for grade in np.unique(some.astype(np.float32)):
        near = [
            (abs(response.grade(np.full(400_000, u, np.float32), uniform) - grade) < 0.01).mean()
            for u in utility
        ]
        found = response.likelihood(grade, utility)
        np.testing.assert_allclose(found / found.sum(), near / np.sum(near), atol=0.02)


def test_the_session_law_is_that_of_its_moves():
    session, num = SessionInterest(half_life=2.0, following=0.6, ends_at=0.9), 40_000
    sim = simulator(session)
    users, *_ = sim.start(np.arange(num), np.zeros(num, np.int64))
    users.anchor[:], users.state["session"][:] = users.anchor[0], 3
    outcome, _ = sim.step(users, np.tile(np.arange(5, dtype=np.int32), (num, 1)))
    own = session.own_topics(WORLD.centers @ users.anchor[0])
    belief = np.eye(len(own), dtype=np.float32)[[3]][None]
    for grade in (0.0, 1.0):
        rows = outcome.grade == grade
        ending = session.ending(np.float32([grade]))
        expected = session.transition(WORLD, belief, own[None, None], ending)[0, 0]
        found = np.bincount(users.state["session"][rows], minlength=len(own)) / rows.sum()
        assert expected.sum() == pytest.approx(1, abs=1e-5)
        assert abs(found - expected).max() < 5 * np.sqrt(0.25 / rows.sum())


def test_the_law_of_requests_is_that_of_asking(rng):
    sim = simulator(SessionInterest(), replace(TELLING, half_life=1e-3))  # all ask anew
    users, *_ = sim.start(np.arange(20_000), np.zeros(20_000, np.int64))
    users.state["session"][:] = 5
    sim.domain.drift[1].move(WORLD, users, None, _draw(sim, users))
    texts = np.arange(len(WORLD.request_text))
    expected = TELLING.likelihood(WORLD, texts)[:, 5]
    assert expected.sum() == pytest.approx(1, abs=1e-5)
    found = np.bincount(users.state["request"], minlength=len(texts)) / len(users)
    assert abs(found - expected).max() < 0.02


def _draw(sim, users):
    from driftrec.simulators.streams import Draw

    return Draw(users.key, users.step, sim._lanes)


def test_utilities_by_topic_are_the_simulators():
    sim = simulator(*EVERYTHING)
    users, tracker, belief = begun(sim, num_users=3, particles=4)
    follow(sim, users, tracker, belief, 3)
    slates = np.int32([[1, 2, 3, 2, 5], [7, 100, 200, 300, 400], [9, 9, 9, 9, 8]])
    found = tracker._utility(belief, slates)  # [K, B, P, C]
    for topic in (0, 7):
        guesses = belief.users.take(np.arange(len(belief.users)))
        guesses.state["session"] = np.full(len(guesses), topic)
        sim._refresh(guesses)
        expected = sim.utility(guesses, np.repeat(slates, 4, 0)).reshape(3, 4, 5)
        expected[0, :, 3] = expected[2, :, 1:4] = -np.inf  # shown above already
        np.testing.assert_allclose(found[..., topic], expected.transpose(2, 0, 1), atol=2e-4)


# --- the beliefs are honest


def test_a_belief_about_sessions_alone_is_exact():
    session = SessionInterest(half_life=5.0)
    sim = simulator(session)
    users, tracker, belief = begun(sim, num_users=4, particles=3)
    belief.users.anchor[:] = belief.users.taste[:] = np.repeat(users.anchor, 3, 0)
    belief.topics[:] = start = 1 / len(WORLD.centers)
    slates = np.random.default_rng(0).integers(999, size=(4, 5)).astype(np.int32)
    outcome, _ = sim.step(users, slates)
    tracker.update(belief, outcome, observed(sim, users, slates[:, None], None))
    own = session.own_topics(users.anchor @ WORLD.centers.T)
    expected = np.full((4, len(own.T)), start)
    for topic in range(len(own.T)):
        users.state["session"][:] = topic
        sim._refresh(users)
        expected[:, topic] *= sim.domain.choice.probability(sim.utility(users, slates))[
            np.arange(4), outcome.choice
        ]
    expected /= expected.sum(1, keepdims=True)
    moved = session.transition(
        WORLD, expected[:, None].astype(np.float32), own[:, None], session.ending(outcome.grade)
    )
    np.testing.assert_allclose(belief.topics, np.repeat(moved, 3, 1), rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("names", ["session,abrupt,gradual", "all"])
def test_what_is_believed_with_probability_p_is_true_in_p_of_the_cases(names):
    sim = simulator(*(d for d in EVERYTHING if names == "all" or d.name in names))
    users, tracker, belief = begun(sim, num_users=200, particles=128)
    sure, right = [], []
    for step in range(12):
        follow(sim, users, tracker, belief, 1, seed=step)
        topics = (belief.topics * belief.weight[:, :, None]).sum(1)
        sure.append(topics.max(1))
        right.append(topics.argmax(1) == users.state["session"])
    sure, right = np.mean(sure), np.mean(right)
    assert sure > 3 / len(WORLD.centers)  # it knows something
    assert abs(right - sure) < 0.05


def test_weights_make_up_for_the_haste_with_which_shifts_are_tried():
    sim = simulator(
        AbruptShift(half_life=70.0), choice=LogitChoice(outside=99)
    )  # answers tell nothing
    users, tracker, belief = begun(sim, num_users=400, particles=64, hazard=0.2)
    follow(sim, users, tracker, belief, 1)
    shifted = belief.users.shifted.reshape(belief.shape)
    assert shifted.mean() == pytest.approx(0.2, abs=0.01)
    assert (shifted * belief.weight).sum(1).mean() == pytest.approx(1 - 2 ** (-1 / 70), abs=1e-3)


def test_particles_come_to_resemble_the_user():
    sim = simulator(*EVERYTHING[:1])
    users, _, belief = begun(sim, num_users=60, particles=256)
    taste = (belief.users.taste.reshape(60, 256, -1) * belief.weight[:, :, None]).sum(1)
    strangers = np.roll(users.taste, 1, 0)
    assert (taste * users.taste).sum(1).mean() > (taste * strangers).sum(1).mean() + 0.1


def test_an_empty_history_teaches_nothing():
    sim = simulator(*(d for d in EVERYTHING if d is not TELLING))
    users, *_ = sim.start(np.arange(2), np.zeros(2, np.int64))
    nothing = np.full((2, 8, 5), -1, np.int32), np.zeros((2, 8, 5), np.float32)
    tracker = Tracker(sim, 16, 0.05, 0.2)
    belief = tracker.begin(np.uint64([1, 2]), observed(sim, users, *nothing))
    np.testing.assert_allclose(belief.weight, 1 / 16, rtol=1e-5)


# --- drawing particles anew


def test_systematic_draws_are_in_proportion(rng):
    weight = rng.dirichlet(np.ones(9), 20).astype(np.float32)
    found = systematic(weight, rng.random((20, 1)), 100)
    count = np.stack([np.bincount(row, minlength=9) for row in found])
    assert (abs(count - 100 * weight) < 1 + 1e-4).all() and (np.diff(found, axis=1) >= 0).all()


def test_copies_of_a_particle_differ_from_then_on():
    sim = simulator(*EVERYTHING)
    users, tracker, belief = begun(sim, num_users=2, particles=16)
    belief.weight[:] = np.eye(16, dtype=np.float32)[3]
    kept = belief.users.taste[3].copy()
    tracker._draw_anew(belief)
    np.testing.assert_allclose(belief.weight, 1 / 16)
    np.testing.assert_allclose(belief.users.taste[:16], np.tile(kept, (16, 1)), atol=1e-6)
    follow(sim, users, tracker, belief, 1)
    assert len(np.unique(belief.users.taste[:, 0])) == 32


def test_spreading_out_is_in_proportion_to_the_spread(rng):
    near = rng.normal(0, 0.01, (1, 500, 8)).astype(np.float32)
    near[..., 0] += 1
    noise = rng.normal(size=near.shape).astype(np.float32)
    kept, moved = spread_out(near, 0.0, noise), spread_out(near, 2.0, noise)
    np.testing.assert_allclose(kept, unit(near), atol=1e-6)
    assert (moved - kept)[..., 1:].std() == pytest.approx(0.02, rel=0.1)


def test_beliefs_are_arrays_and_back():
    _, _, belief = begun(simulator(*EVERYTHING), num_users=3, particles=5)
    again = Belief.of(belief.arrays())
    for name, value in belief.arrays().items():
        assert value.shape[:2] == (3, 5)
        np.testing.assert_array_equal(value, again.arrays()[name])
        assert not np.shares_memory(value, again.arrays()[name])


def test_hours_of_the_week_are_read_off_the_features():
    hours = np.float32([0.25, 23, 80, 167.5])
    np.testing.assert_allclose(weekly_hours(clock_features(hours + 168)), hours, atol=1e-3)


# --- the slates are good


@pytest.mark.parametrize("domain", ["plain", "video", "ecommerce", "news", "music"])
def test_of_a_known_user_the_slate_is_the_best_one(domain):
    sim = make_simulator(domain)
    users, *_ = sim.start(np.arange(50), np.zeros(50, np.int64))
    assortment, utility = Assortment(sim), sim.utility_of_all(users)[:, None]
    items = assortment.shortlist(utility, sim.available(users) > 0, 60)
    slates = assortment.best(np.take_along_axis(utility, items[:, None], 2), items)
    assert all(len(set(slate)) == sim.slate_size for slate in slates)
    ratio = sim.expected_reward(users, slates.astype(np.int32)) / sim.best_slate(users)[1]
    assert ratio.mean() > 0.98 and ratio.min() > 0.85


def test_a_slate_serves_all_that_may_be_true_and_nothing_that_cannot_be_had():
    utility = np.full((1, 2, 20), -5, np.float32)
    utility[0, 0, :10], utility[0, 1, 10:] = 6, 6
    utility[0, :, ::2] = -np.inf
    slate = Assortment(simulator()).best(utility, np.arange(20)[None])[0]
    assert int((slate < 10).sum()) in (2, 3) and (slate % 2 == 1).all()


def test_a_shortlist_holds_what_is_available_first():
    utility = np.random.default_rng(0).normal(3, 2, (2, 4, 1000)).astype(np.float32)
    available = np.arange(1000)[None] % 50 == 0
    items = Assortment(simulator()).shortlist(utility, available, 20)
    assert sorted(items[0]) == sorted(items[1]) == list(range(0, 1000, 50))


@pytest.mark.parametrize("name", RESPONSES)
def test_rewards_are_in_proportion_to_worth(name, rng):
    """What the table of ``Assortment`` rests upon."""
    response, utility = RESPONSES[name](), rng.normal(3, 3, 50).astype(np.float32)
    once, thrice = (response.expected_reward(utility, np.float32(w)) for w in (1, 3))
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-5)


# --- the agent


@pytest.fixture(scope="module")
def env():
    return gym.make_vec(VIDEO, num_envs=10, diagnostics=False, history=10, horizon=30)


def test_users_do_not_depend_on_their_batch_and_states_are_not_overwritten(env):
    agent = agents.make("bayes-filter", env, particles=32, samples=16)
    first, _ = env.reset(seed=1)
    slates, state = agent.predict(first)
    kept = copy.deepcopy(state)
    second, *_ = env.step(slates)
    after, _ = agent.predict(second, state)
    for name in kept:
        np.testing.assert_array_equal(state[name], kept[name])
    row = {name: value[9] for name, value in first.items()}
    slate, alone = agent.predict(row)
    np.testing.assert_array_equal(slate, slates[9])
    row = {name: value[9] for name, value in second.items()}
    np.testing.assert_array_equal(agent.predict(row, alone)[0], after[9])


def test_rows_that_start_are_rebuilt_from_their_history(env):
    agent = agents.make("bayes-filter", env, particles=32, samples=16)
    first, _ = env.reset(seed=1)
    _, state = agent.predict(first)
    second, _ = env.reset(seed=100)
    starts = np.arange(10) < 5
    mixed, _ = agent.predict(second, state, starts)
    fresh, _ = agent.predict(second)
    np.testing.assert_array_equal(mixed[:5], fresh[:5])


def test_it_is_never_told_the_state(env):
    """Users who answered alike are served alike, whatever they are after."""
    agent = agents.make("bayes-filter", env, particles=32, samples=16)
    observation, _ = env.reset(seed=1)
    before, _ = agent.predict(observation)
    env.unwrapped.session.users.taste[:] = env.unwrapped.session.users.taste[::-1].copy()
    np.testing.assert_array_equal(agent.predict(observation)[0], before)


@pytest.mark.parametrize(
    ("option", "value"), [("particles", 0), ("samples", 0), ("hazard", 0.9), ("jitter", -1)]
)
def test_options_out_of_range_are_refused(env, option, value):
    with pytest.raises(ValueError, match=option):
        agents.make("bayes-filter", env, **{option: value})


def test_every_option_is_described():
    from driftrec.agents.filter import FilterConfig

    for field in fields(FilterConfig):
        assert field.name == "seed" or f"{field.name}:" in FilterConfig.__doc__
