"""Every agent that needs no training: legal slates, honest state, known facts, refusals."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from driftrec import agents
from driftrec.agents.diversity import diverse_slates
from driftrec.agents.features import public_log
from driftrec.simulators import unit

VIDEO, PLAIN = "driftrec.envs:driftrec/Video-v0", "driftrec.envs:driftrec/DriftingInterest-v0"
UNTRAINED = [
    "random",
    "popularity",
    "quality-first",
    "single-topic",
    "item-loop",
    "static-interest",
    "moving-average",
    "discounted-linucb",
    "sliding-linucb",
    "discounted-thompson",
    "oracle",
]
BLIND = [name for name in UNTRAINED if name != "oracle"]
USERS, STEPS = 6, 5


@pytest.fixture(scope="module")
def env():
    return gym.make_vec(VIDEO, num_envs=USERS, diagnostics=False, horizon=50)


def rollout(agent, env, steps=STEPS, seed=3):
    """Observations, slates and the last state of the first steps; no user leaves within them."""
    observation, _ = env.reset(seed=seed)
    starts, state, seen, shown = np.ones(env.num_envs, bool), None, [], []
    for _ in range(steps):
        seen.append(observation)
        slates, state = agent.predict(observation, state, starts)
        shown.append(slates)
        observation, _, left, timed_out, _ = env.step(slates)
        starts = left | timed_out
    return seen, np.stack(shown), state


def rows(observation, index):
    return {name: value[index] for name, value in observation.items()}


def score(name, env, seed=11, **config):
    """Mean reward per user-step; who has left earns nothing."""
    agent = agents.make(name, env, **config)
    observation, _ = env.reset(seed=seed)
    state, starts = None, np.ones(env.num_envs, bool)
    alive, total = np.ones(env.num_envs, bool), 0.0
    for _ in range(env.unwrapped.horizon):
        slates, state = agent.predict(observation, state, starts)
        observation, reward, left, timed_out, _ = env.step(slates)
        total += reward[alive].sum()
        starts = left | timed_out
        alive &= ~starts
    return total / env.num_envs / env.unwrapped.horizon


# --- conformance -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNTRAINED)
def test_slates_are_distinct_items_of_the_catalogue(name, env):
    _, shown, _ = rollout(agents.make(name, env), env)
    assert shown.shape == (STEPS, USERS, env.unwrapped.slate_size)
    assert shown.dtype == np.int64
    assert shown.min() >= 0 and shown.max() < len(env.unwrapped.catalog)
    ordered = np.sort(shown, axis=2)
    assert (ordered[:, :, 1:] > ordered[:, :, :-1]).all()


@pytest.mark.parametrize("name", BLIND)
def test_a_user_alone_gets_the_slates_of_the_batch(name, env):
    agent = agents.make(name, env)
    seen, shown, _ = rollout(agent, env)
    for user in (0, USERS - 1):
        state = None
        for step, observation in enumerate(seen):
            slate, state = agent.predict(rows(observation, user), state, [step == 0])
            assert slate.shape == (env.unwrapped.slate_size,)
            np.testing.assert_array_equal(slate, shown[step, user])


@pytest.mark.parametrize("name", BLIND)
def test_an_episode_start_forgets_what_was_before(name, env):
    agent = agents.make(name, env)
    seen, shown, state = rollout(agent, env)
    starts = np.arange(USERS) % 2 == 0
    slates, mixed = agent.predict(seen[0], state, starts)
    np.testing.assert_array_equal(slates[starts], shown[0, starts])
    fresh = agent.predict(seen[0])[1]
    for key, value in fresh.items():
        np.testing.assert_array_equal(mixed[key][starts], value[starts])


@pytest.mark.parametrize("name", UNTRAINED)
def test_same_seed_same_slates_and_the_state_given_is_left_alone(name, env):
    first, second = (rollout(agents.make(name, env), env)[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    agent = agents.make(name, env)
    observation, _ = env.reset(seed=3)
    _, state = agent.predict(observation)
    before = {key: value.copy() for key, value in state.items()}
    agent.predict(observation, state, np.arange(USERS) == 0)
    for key, value in before.items():
        np.testing.assert_array_equal(state[key], value)


@pytest.mark.parametrize("name", ["random", "discounted-thompson"])
def test_agents_that_draw_differ_by_seed(name, env):
    one, two = (rollout(agents.make(name, env, seed=seed), env)[1] for seed in (1, 2))
    assert (one != two).any()
    assert (one[0] != one[1]).any()


@pytest.mark.parametrize("name", BLIND)
def test_items_that_are_not_available_are_not_shown(name, env):
    agent = agents.make(name, env)
    observation, _ = env.reset(seed=3)
    favourites = agent.predict(observation)[0]
    available = np.ones((USERS, len(env.unwrapped.catalog)), np.int8)
    np.put_along_axis(available, favourites, 0, axis=1)
    slates, _ = agent.predict({**observation, "available": available})
    assert not (slates[:, :, None] == favourites[:, None, :]).any()


def test_an_agent_is_made_for_single_vector_and_wrapped_environments(env):
    single = gym.make(VIDEO, diagnostics=False)
    wrapped = gym.wrappers.TimeLimit(single, 5)
    for some in (env, single, wrapped):
        assert agents.make("popularity", some).platform.num_items == len(env.unwrapped.catalog)


def test_an_agent_is_made_for_an_sb3_vec_env():
    from stable_baselines3.common.vec_env import DummyVecEnv

    venv = DummyVecEnv([lambda: gym.make(VIDEO, diagnostics=False)] * 2)
    agent = agents.make("discounted-linucb", venv)
    state, starts = None, np.ones(2, bool)
    observation = venv.reset()
    for _ in range(3):
        slates, state = agent.predict(observation, state, starts)
        observation, _, starts, _ = venv.step(slates)


def test_importing_the_agents_imports_no_torch():
    code = "import sys, driftrec.agents; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- facts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["popularity", "quality-first", "single-topic", "static-interest"])
def test_a_static_agent_never_changes_its_slate(name, env):
    _, shown, _ = rollout(agents.make(name, env), env)
    assert (shown == shown[0]).all()
    if name != "static-interest":
        assert (shown == shown[0, 0]).all()


def test_an_item_loop_comes_back_to_its_slates(env):
    _, shown, _ = rollout(agents.make("item-loop", env, slates=2), env)
    np.testing.assert_array_equal(shown[0], shown[2])
    assert not np.intersect1d(shown[0, 0], shown[1, 0]).size


def test_linucb_without_discount_is_ridge_regression(env):
    agent = agents.make("discounted-linucb", env, gamma=1.0, ridge=2.0)
    seen, shown, state = rollout(agent, env)
    grade = agent.grade(state, seen[-1])
    history = env.unwrapped.history
    log, catalog = agent.platform.log, agent.platform.catalog
    for user in range(USERS):
        slates = np.concatenate((seen[0]["slates"][user], shown[:-1, user]))
        feedback = [seen[0]["feedback"][user], *(o["feedback"][user, -1:] for o in seen[1:])]
        assert len(slates) == history + STEPS - 1
        x = log.features[slates].reshape(-1, log.features.shape[1]).astype(np.float64)
        y = np.concatenate(feedback) - log.bias[slates] * log.position
        theta = np.linalg.solve(x.T @ x + 2 * np.eye(x.shape[1]), x.T @ y.ravel())
        np.testing.assert_allclose(grade[user], log.bias + log.features @ theta, atol=1e-4)
    assert grade.shape == (USERS, len(catalog))


def test_the_confidence_bonus_is_that_of_the_weighted_regression(env):
    gamma, ridge, alpha = 0.9, 2.0, 0.5
    bold = agents.make("discounted-linucb", env, gamma=gamma, ridge=ridge, alpha=alpha)
    plain = agents.make("discounted-linucb", env, gamma=gamma, ridge=ridge)
    observation, _ = env.reset(seed=3)
    bonus = bold.grade(bold.begin(observation), observation)
    bonus = bonus - plain.grade(plain.begin(observation), observation)
    x = bold.features[observation["slates"][0].ravel()].astype(np.float64)
    weight = np.repeat(gamma ** np.arange(env.unwrapped.history - 1.0, -1, -1), 10)[:, None]
    prior = ridge * np.eye(x.shape[1])
    v = np.linalg.inv((weight * x).T @ x + prior)
    spread = v @ ((weight**2 * x).T @ x + prior) @ v
    expected = (
        alpha * bold.noise * np.sqrt(np.einsum("nf,fg,ng->n", bold.features, spread, bold.features))
    )
    np.testing.assert_allclose(bonus[0], expected, atol=1e-3)


def test_a_window_as_long_as_the_history_is_the_undiscounted_regression(env):
    window = agents.make("sliding-linucb", env, window=env.unwrapped.history)
    same = {"ridge": window.config.ridge, "alpha": window.config.alpha}
    whole = agents.make("discounted-linucb", env, gamma=1.0, **same)
    observation, _ = env.reset(seed=3)
    np.testing.assert_allclose(
        window.grade(window.begin(observation), observation),
        whole.grade(whole.begin(observation), observation),
        atol=1e-5,
    )


def test_an_empty_slot_says_nothing_to_a_moving_average(env):
    agent = agents.make("moving-average", env)
    slates = np.full((1, 1, 10), -1)
    slates[0, 0, 0] = 5
    feedback = np.zeros((1, 1, 10), np.float32)
    feedback[0, 0, 0] = 1
    mean = agent.learn(agent.newborn(1), slates, feedback)["mean"][0]
    surprise = agent.surprise(slates, feedback)[0, 0, 0]
    np.testing.assert_allclose(mean, surprise * agent.features[5], rtol=1e-5)


def test_a_moving_average_without_decay_is_the_mean(env):
    agent = agents.make("moving-average", env, decay=1.0)
    observation, _ = env.reset(seed=3)
    state = agent.begin(observation)
    slates, log = observation["slates"][0], agent.platform.log
    surprise = observation["feedback"][0] - log.bias[slates] * log.position
    mean = (surprise[:, :, None] * log.features[slates]).sum(1).mean(0)
    np.testing.assert_allclose(state["mean"][0], mean, atol=1e-5)


@pytest.mark.parametrize("name", ["moving-average", "discounted-linucb", "discounted-thompson"])
def test_learning_slate_by_slate_equals_learning_at_once(name, env):
    agent = agents.make(name, env)
    observation, _ = env.reset(seed=3)
    at_once = agent.begin(observation)
    state = agent.begin({k: observation[k][:, :30] for k in ("slates", "feedback")})
    for last in range(31, env.unwrapped.history + 1):
        part = {k: observation[k][:, :last] for k in ("slates", "feedback")}
        state = agent.update(state, part)
    for key, value in at_once.items():
        np.testing.assert_allclose(state[key], value, rtol=1e-3, atol=1e-4)


def test_slots_without_an_item_teach_nothing(env):
    agent = agents.make("discounted-linucb", env)
    observation, _ = env.reset(seed=3)
    short = {k: observation[k][:, -10:] for k in ("slates", "feedback")}
    padded = {k: observation[k].copy() for k in ("slates", "feedback")}
    padded["slates"][:, :-10], padded["feedback"][:, :-10] = -1, 0
    for key, value in agent.begin(short).items():
        np.testing.assert_allclose(agent.begin(padded)[key], value, atol=1e-4)


def test_thompson_draws_around_the_estimate_of_linucb(env):
    options = {"gamma": 0.95, "ridge": 3.0}
    observation, _ = env.reset(seed=3)
    linucb = agents.make("discounted-linucb", env, **options)
    mean = linucb.grade(linucb.begin(observation), observation)
    draws = []
    for seed in range(200):
        agent = agents.make("discounted-thompson", env, seed=seed, alpha=0.4, **options)
        _, state = agent.predict(observation)
        draws.append(agent.grade(state, observation))
    error = np.stack(draws).mean(0) - mean
    assert np.abs(error).mean() < 3 * np.stack(draws).std(0).mean() / np.sqrt(200)


def test_what_was_consumed_lately_counts_for_less(env):
    hungry, tired = (agents.make("discounted-linucb", env, satiation=s) for s in (0.0, 5.0))
    observation, _ = env.reset(seed=3)
    state = tired.begin(observation)
    before = tired.act(state, observation)
    state["tired"][:, 0] += 1
    after, topics = tired.act(state, observation), env.unwrapped.catalog.topics
    assert (after[:, topics[:, 0] > 0.5] < before[:, topics[:, 0] > 0.5]).all()
    np.testing.assert_array_equal(
        hungry.act(state, observation),
        hungry.act({**state, "tired": state["tired"] * 0}, observation),
    )


def test_diversity_trades_score_for_distance():
    rng = np.random.default_rng(0)
    features = unit(rng.standard_normal((300, 8)).astype(np.float32))
    scores = rng.standard_normal((5, 300)).astype(np.float32)
    plain = np.sort(diverse_slates(scores, features, 4, 0.0), 1)
    np.testing.assert_array_equal(plain, np.sort(np.argsort(-scores, 1)[:, :4], 1))
    cosine = []
    for charge in (0.0, 1.0, 10.0):
        x = features[diverse_slates(scores, features, 4, charge)]
        cosine.append((x @ x.transpose(0, 2, 1)).mean())
    assert cosine[0] > cosine[1] > cosine[2]


def test_features_tell_the_taste_of_users_better_than_chance(env):
    simulator = env.unwrapped.simulator
    log = public_log(simulator)
    np.testing.assert_allclose(np.linalg.norm(log.features, axis=1), 1, atol=1e-5)
    assert public_log(simulator) is log
    x, latent = log.features, simulator.world.attributes
    fitted = x @ np.linalg.lstsq(x, latent, rcond=None)[0]
    assert ((latent - fitted) ** 2).sum() < 0.5 * ((latent - latent.mean(0)) ** 2).sum()
    assert log.position[0] > log.position[-1]


@pytest.mark.parametrize("env_id", [VIDEO, PLAIN])
def test_static_is_above_random_adaptive_above_static_and_the_oracle_above_all(env_id):
    env = gym.make_vec(env_id, num_envs=64, diagnostics=False, horizon=60)
    scores = {name: score(name, env) for name in UNTRAINED}
    assert max(scores, key=scores.__getitem__) == "oracle"
    assert scores["random"] < scores["static-interest"] < scores["discounted-linucb"]
    constant = ("popularity", "quality-first", "single-topic", "item-loop")
    assert max(scores[name] for name in constant) < scores["discounted-linucb"]


def test_the_oracle_expects_more_than_any_other_agent():
    env = gym.make_vec(PLAIN, num_envs=USERS, diagnostics=True)
    for name in BLIND:
        agent = agents.make(name, env)
        observation, _ = env.reset(seed=3)
        infos = env.step(agent.predict(observation)[0])[-1]
        assert (infos["expected_reward"] <= infos["oracle_reward"] + 1e-5).all()
    observation, _ = env.reset(seed=3)
    infos = env.step(agents.make("oracle", env).predict(observation)[0])[-1]
    np.testing.assert_allclose(infos["expected_reward"], infos["oracle_reward"], rtol=1e-5)


# --- refusals ----------------------------------------------------------------------------------


def broken(observation, **changes):
    return {**observation, **changes}


def test_a_bad_observation_is_refused_by_name(env):
    agent = agents.make("discounted-linucb", env)
    good, _ = env.reset(seed=3)
    slates, feedback = good["slates"], good["feedback"]
    nan, far, many = feedback.copy(), slates.copy(), feedback.copy()
    nan[0, -1, 0], far[0, -1, 0], many[0, -1, 0] = np.nan, 10_000, 1.5
    cases = {
        "feedback must lie in .0, 1., got nan": broken(good, feedback=nan),
        "feedback must lie in .0, 1., got 1.5": broken(good, feedback=many),
        "time must be finite, got NaN": broken(good, time=good["time"] * np.nan),
        "feedback must have the slates' shape": broken(good, feedback=feedback[:, 1:]),
        "slates must hold ids in .-1, 999., got 10000": broken(good, slates=far),
        "slates must have 10 slots, as the agent's, got 9": broken(good, slates=slates[:, :, 1:]),
        "slates must have shape": broken(good, slates=slates[0, 0]),
        "slates must hold item ids of an integer type": broken(good, slates=slates * 1.0),
        "available must have shape": broken(good, available=np.ones(3)),
        "observation must hold 'feedback'": {"slates": slates},
        "observation must be a dict": slates,
    }
    for message, observation in cases.items():
        with pytest.raises(ValueError, match=message):
            agent.predict(observation)
    _, state = agent.predict(good)
    with pytest.raises(ValueError, match="episode_start must have shape"):
        agent.predict(good, state, np.ones(USERS + 1, bool))
    with pytest.raises(ValueError, match="state must be of as many users"):
        agent.predict(rows(good, slice(0, 2)), state, np.zeros(2, bool))


def test_a_bad_name_or_option_is_refused_with_the_known_ones(env):
    with pytest.raises(ValueError, match=r"agent must be one of random, .*got 'lucky'"):
        agents.make("lucky", env)
    with pytest.raises(ValueError, match=r"no option 'gama', known are alpha, .*gamma"):
        agents.make("discounted-linucb", env, gama=0.9)
    for option, value in (("gamma", 1.5), ("ridge", 0), ("alpha", -1), ("gamma", "high")):
        with pytest.raises(ValueError, match=f"{option} must be a number in"):
            agents.make("discounted-linucb", env, **{option: value})
    with pytest.raises(ValueError, match="window must be at most the history of 50"):
        agents.make("sliding-linucb", env, window=51)
    with pytest.raises(ValueError, match="env must be an environment of driftrec"):
        agents.make("random", gym.make("CartPole-v1"))


def test_the_oracle_refuses_users_that_are_not_its_own(env):
    agent = agents.make("oracle", env)
    observation, _ = env.reset(seed=3)
    with pytest.raises(ValueError, match="oracle's own environment, which has 6 users, got 2"):
        agent.predict(rows(observation, slice(0, 2)))


def test_balanced_slates_take_turns_among_kinds():
    from driftrec.agents.diversity import balanced_slates

    kinds = np.array([0, 0, 0, 1, 1, 2], np.int32)
    scores = np.array([[9.0, 8.0, 7.0, 6.0, 5.0, 1.0]], np.float32)
    assert balanced_slates(scores, kinds, 4, 0.0).tolist() == [[0, 1, 2, 3]]
    # 9, then 8 - 2 and 6 alike: the first; then 6 of kind 1, then 7 - 4 against 5 - 2: the first.
    assert balanced_slates(scores, kinds, 4, 2.0).tolist() == [[0, 1, 3, 2]]
    assert balanced_slates(scores, kinds, 3, 100.0).tolist() == [[0, 3, 5]]
