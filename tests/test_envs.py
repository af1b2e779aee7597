"""One user as an environment. Every registered id is held to the same facts."""

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from driftrec.envs import ENV_IDS, DriftEnv, DriftVectorEnv

every_id = pytest.mark.parametrize("env_id", ENV_IDS)
# What moves a taste without looking at what was shown or taken.
UNMOVED_BY_SLATES = {"gradual", "abrupt", "session", "seasonal"}


def episode(env, seed, actions):
    """Observations, rewards and infos of the steps until the first episode ends."""
    observation, info = env.reset(seed=seed)
    steps = [(observation, 0.0, info)]
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        steps.append((observation, reward, info))
        if terminated or truncated:
            break
    return steps


def random_slates(env, steps, seed=0):
    size = (steps, env.unwrapped.slate_size)
    return np.random.default_rng(seed).integers(0, len(env.unwrapped.catalog), size)


@pytest.mark.parametrize("make", [DriftEnv, DriftVectorEnv])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leaving": "false"}, "leaving must be True or False, got 'false'"),
        ({"diagnostics": 0}, "diagnostics must be True or False, got 0"),
        ({"drift": 5}, "drift must be names separated by commas, got 5"),
        ({"drift_strength": "two"}, "drift_strength must be a number, got 'two'"),
        ({"world_seed": -1}, "world_seed must be a whole number of at least 0, got -1"),
        ({"catalog": 5}, "catalog must be a path, got 5"),
    ],
)
def test_an_option_of_another_kind_is_refused_by_name(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_domain_file_that_was_edited_is_another_world(plain_domain):
    path = plain_domain()
    before = DriftEnv(path).simulator.domain
    Path(path).write_text(Path(path).read_text().replace("affinity = 8.0", "affinity = 2.0"))
    assert (before.affinity, DriftEnv(path).simulator.domain.affinity) == (8.0, 2.0)


# --- the contracts of others


@every_id
def test_gymnasium_finds_nothing_to_complain_about(env_id, small):
    env = gym.make(env_id, **small)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "no display for render_mode 'human'")
        check_env(env.unwrapped)


@every_id
@pytest.mark.filterwarnings("ignore:Your observation .* has an unconventional shape")
def test_stable_baselines_accepts_it(env_id, small):
    sb3_check_env(gym.make(env_id, **small).unwrapped)


def test_ids_need_no_import_of_their_own():
    code = (
        "import gymnasium as gym\n"
        "name = 'driftrec.envs:driftrec/Video-v0'\n"
        "assert gym.make(name).unwrapped.slate_size == 10\n"
        "assert gym.make_vec(name, num_envs=3).num_envs == 3\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


@every_id
def test_a_spec_makes_the_same_environment(env_id, small):
    env = gym.make(env_id, **small)
    again = gym.make(env.spec)
    slates = random_slates(env, 3)
    assert data_equivalence(episode(env, 5, slates), episode(again, 5, slates), exact=True)


@every_id
def test_a_copy_in_mid_episode_goes_on_alike(env_id, small):
    env = gym.make(env_id, **small).unwrapped
    first, *others = random_slates(env, 3)
    env.reset(seed=1)
    env.step(first)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert data_equivalence(twin.step(others[0]), copy.deepcopy(env).step(others[0]))


# --- seeds


@every_id
def test_a_seed_fixes_the_user_and_seeds_differ(env_id, small):
    env = gym.make(env_id, **small)
    slates = random_slates(env, 6)
    first = episode(env, 7, slates)
    assert data_equivalence(first, episode(env, 7, slates), exact=True)
    other = episode(env, 8, slates)
    assert not np.array_equal(first[0][2]["taste"], other[0][2]["taste"])


@every_id
def test_reset_without_seed_brings_the_next_user_of_the_seed(env_id, small):
    env = gym.make(env_id, **small)
    tastes = [env.reset(seed=7)[1]["taste"], env.reset()[1]["taste"], env.reset()[1]["taste"]]
    assert len({taste.tobytes() for taste in tastes}) == 3
    env.reset(seed=7)
    assert np.array_equal(env.reset()[1]["taste"], tastes[1])


def test_environments_that_share_a_world_share_no_user(small):
    one, two = DriftEnv(**small), DriftEnv(**small)
    assert one.simulator is two.simulator
    slates = random_slates(one, 6)
    alone = episode(one, 3, slates)
    one.reset(seed=3)
    two.reset(seed=4)
    for slate, (observation, _, _) in zip(slates, alone[1:], strict=False):
        assert data_equivalence(one.step(slate)[0], observation, exact=True)
        two.step(slate[::-1])


@every_id
def test_two_policies_meet_the_same_drift(env_id, small):
    small["horizon"] = 40
    preset = gym.make(env_id).unwrapped.simulator.domain.drift
    names = [process.name for process in preset if process.name in UNMOVED_BY_SLATES]
    env = gym.make(env_id, **small, drift=",".join(names) or "none", drift_strength=5.0)
    paths = [
        np.stack([info["taste"] for _, _, info in episode(env, 7, random_slates(env, 40, policy))])
        for policy in (0, 1)
    ]
    common = min(map(len, paths))
    assert common > 3
    assert np.array_equal(paths[0][:common], paths[1][:common])


# --- what is seen


@every_id
def test_the_observation_ends_with_the_slate_just_shown(env_id, small):
    env = gym.make(env_id, **small)
    slates = random_slates(env, 6)
    steps = episode(env, 0, slates)
    assert (steps[0][0]["slates"] >= 0).all()  # a whole history has been lived through
    for (before, _, _), (after, reward, _), slate in zip(steps, steps[1:], slates, strict=False):
        assert np.array_equal(after["slates"][-1], slate)
        assert np.array_equal(after["slates"][:-1], before["slates"][1:])
        assert np.array_equal(after["feedback"][:-1], before["feedback"][1:])
        assert (after["feedback"] > 0).sum(1).max() <= 1
        if not after["feedback"][-1].any():
            assert reward <= 0


@every_id
def test_diagnosis_is_an_option_that_changes_nothing_else(env_id, small):
    slates = random_slates(gym.make(env_id, **small), 6)
    seen = [episode(gym.make(env_id, **small, diagnostics=d), 2, slates) for d in (True, False)]
    for (one, reward, info), (two, same_reward, bare) in zip(*seen, strict=False):
        assert data_equivalence(one, two, exact=True)
        assert reward == same_reward
        assert set(info) == {"shift", "left", "taste", "expected_reward", "oracle_reward"}
        assert set(bare) == {"shift", "left"}
        assert np.linalg.norm(info["taste"]) == pytest.approx(1, abs=1e-5)


@every_id
def test_expected_reward_is_the_mean_of_the_reward_and_at_most_the_oracles(env_id, rng):
    env = DriftVectorEnv(2000, ENV_IDS[env_id], slate_size=5, history=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    slates = env.session.simulator.best_slate(env.session.users)[0]
    slates[1000:] = rng.integers(0, len(env.catalog), (1000, 5))
    _, reward, _, _, infos = env.step(slates)
    for half in (slice(1000), slice(1000, None)):
        error = (reward - infos["expected_reward"])[half]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))
    assert (infos["expected_reward"] <= infos["oracle_reward"] * (1 + 1e-4)).all()


# --- repeated and unavailable items


@every_id
def test_an_item_shown_twice_is_taken_once_at_most_and_earns_nothing_more(env_id, rng):
    env = DriftVectorEnv(500, ENV_IDS[env_id], slate_size=5, history=2)
    env.reset(seed=0)
    simulator, users = env.simulator, env.session.users
    best = simulator.best_slate(users)[0]
    a, b = best[:, :1], best[:, 1:2]
    utility = simulator.utility_of_all(users)
    unwanted = np.argsort(np.where(np.isfinite(utility), utility, np.inf), axis=1)[:, :3]
    fillings = [np.hstack(slots) for slots in ((a, b, b, b, b), (a, b, a, a, a), (a, b, a, b, a))]
    values = [simulator.expected_reward(users, slates) for slates in fillings]
    # A slot with a repeated item is worth what a slot with something nobody wants is: nothing.
    distinct = np.hstack((a, b, unwanted)).astype(np.int32)
    nothing = simulator.expected_reward(users, distinct)
    for value in values:
        np.testing.assert_allclose(value, values[0], rtol=1e-6)
        np.testing.assert_allclose(value, nothing, rtol=0.02)
    assert values[0].mean() < simulator.expected_reward(users, best).mean()
    for slates in fillings:
        observation = env.step(slates)[0]
        assert not observation["feedback"][:, -1, 2:].any()


@every_id
def test_an_unavailable_item_is_never_taken(env_id, small):
    env = DriftVectorEnv(100, ENV_IDS[env_id], **small | {"horizon": 100})
    observation, _ = env.reset(seed=0)
    if "available" not in observation:
        pytest.skip("nothing comes and goes here")
    assert not observation["available"].all()
    for _ in range(5):
        gone = observation["available"].argmin(1)
        observation, reward, *_ = env.step(np.repeat(gone[:, None], 3, axis=1))
        assert not reward.any()


# --- how an episode ends


ON, LEFT, CUT = (False, False), (True, False), (False, True)


@pytest.mark.parametrize(
    ("liking", "ends"),
    [
        ({"most": 1e6}, [ON] * 5 + [CUT]),  # the time limit truncates
        ({"outside": 1e3, "most": 4}, [ON] * 3 + [LEFT]),  # who finds nothing leaves
        ({"outside": 1e3, "most": 6}, [ON] * 5 + [LEFT]),  # at the last request too
    ],
)
def test_how_an_episode_ends(small, plain_domain, liking, ends):
    env = DriftEnv(domain=plain_domain(**liking), **small)
    env.reset(seed=0)
    assert [env.step(slate)[2:4] for slate in random_slates(env, len(ends))] == ends


# --- refusals


@pytest.mark.parametrize("make", [DriftEnv, DriftVectorEnv])
@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("slate_size", 0, "slate_size must be a whole number of at least 1, got 0"),
        ("slate_size", 2.5, "slate_size must be a whole number of at least 1, got 2.5"),
        ("slate_size", 10**6, "slate_size must be at most"),
        ("history", 0, "history must be a whole number of at least 1, got 0"),
        ("horizon", 0, "horizon must be a whole number of at least 1, got 0"),
        ("horizon", "9", "horizon must be a whole number of at least 1, got '9'"),
        ("drift", "gradul", "drift must name some of .*, got 'gradul'"),
        ("drift_strength", -1.0, "drift_strength must be a number >= 0, got -1.0"),
        ("drift_strength", float("nan"), "drift_strength must be a number >= 0, got nan"),
        ("domain", "opera", "domain must be one of .*, got 'opera'"),
        ("render_mode", "hologram", "render_mode must be None.*, got 'hologram'"),
    ],
)
def test_a_bad_option_is_refused_by_name(make, option, value, told):
    with pytest.raises(ValueError, match=told):
        make(**{option: value})


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_an_unknown_option_is_refused_by_name(make):
    with pytest.raises(TypeError, match="slate_sise"):
        make("driftrec/Video-v0", slate_sise=4)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ([1, 2], r"action must have shape \(1, 3\) \(users, slots\), got \(1, 2\)"),
        ([1, 2, 3, 4], r"action must have shape .*, got \(1, 4\)"),
        (7, r"action must have shape \(3,\), got \(\)"),
        ([[1, 2, 3]], r"action must have shape \(3,\), got \(1, 3\)"),
        ([1.0, 2.0, 3.0], "action must hold item ids of an integer type, got float64"),
        ([True, False, True], "action must hold item ids of an integer type, got bool"),
        ([1, 2, -1], r"action must hold item ids in \[0, \d+\], got -1"),
        ([1, 2, 10**6], r"action must hold item ids in \[0, \d+\], got 1000000"),
    ],
)
def test_a_bad_slate_is_refused_and_leaves_the_user_as_was(small, action, told):
    env = DriftEnv(**small)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.step(np.array(action))
    untouched = DriftEnv(**small)
    untouched.reset(seed=0)
    assert data_equivalence(env.step(np.arange(3)), untouched.step(np.arange(3)), exact=True)


def test_a_step_needs_a_reset(small, plain_domain):
    env = DriftEnv(domain=plain_domain(most=1e6), **small)
    with pytest.raises(ResetNeeded, match="reset must be called before step"):
        env.step(np.arange(3))
    env.reset(seed=0)
    for slate in random_slates(env, 6):
        env.step(slate)
    with pytest.raises(ResetNeeded, match="the episode has ended"):
        env.step(np.arange(3))
    env.reset()
    env.step(np.arange(3))


def test_users_who_may_not_leave_stay_and_live_on_alike(small):
    options = {**small, "horizon": 40}
    slates = random_slates(gym.make("driftrec/Video-v0", **options), 40)
    ends, stays = (
        episode(gym.make("driftrec/Video-v0", **options, leaving=leaving), 2, slates)
        for leaving in (True, False)
    )
    assert len(ends) < len(stays) == 41
    assert [info["left"] for _, _, info in ends][-2:] == [False, True]
    for (_, reward, info), (_, same, kept) in zip(ends, stays, strict=False):
        assert reward == same and info["left"] == kept["left"]
