"""B users at once: Gymnasium's vector contract, and row i lives as one user alone."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftrec.envs import ENV_IDS, DriftEnv, DriftVectorEnv
from driftrec.simulators import DRIFTS

every_id = pytest.mark.parametrize("env_id", ENV_IDS)
every_mode = pytest.mark.parametrize("mode", list(AutoresetMode))


def slates_for(env, steps, users, seed=0):
    """[steps, users, K] random slates."""
    size = (steps, users, env.slate_size)
    return np.random.default_rng(seed).integers(0, len(env.catalog), size)


def row_of(batch, row):
    return {key: value[row] for key, value in batch.items()}


def live(env, seed, slates):
    """Observations by key [T + 1, B, ...], rewards [T, B] and ends [T, B]."""
    observations, rewards, ends = [env.reset(seed=seed)[0]], [], []
    for shown in slates:
        observation, reward, left, timed_out, _ = env.step(shown)
        observations.append(observation)
        rewards.append(reward)
        ends.append(left | timed_out)
    stacked = {key: np.stack([part[key] for part in observations]) for key in observations[0]}
    return stacked, np.stack(rewards), np.stack(ends)


# --- Gymnasium's own vector environment over single ones is the reference


@every_mode
@every_id
def test_a_batch_behaves_as_gymnasiums_batch_of_single_environments(env_id, mode, small):
    options = {"domain": ENV_IDS[env_id], **small}
    batch = DriftVectorEnv(3, autoreset_mode=mode, **options)
    reference = SyncVectorEnv([lambda: DriftEnv(**options)] * 3, autoreset_mode=mode)
    assert batch.observation_space == reference.observation_space
    assert batch.action_space == reference.action_space
    assert batch.metadata["autoreset_mode"] == reference.metadata["autoreset_mode"]
    assert data_equivalence(batch.reset(seed=3), reference.reset(seed=3), exact=True)
    ended = 0
    for slates in slates_for(batch, 15, 3):
        moved, expected = batch.step(slates), reference.step(slates)
        assert data_equivalence(moved, expected, exact=True)
        done = moved[2] | moved[3]
        ended += done.sum()
        if mode == AutoresetMode.DISABLED and done.any():
            again, same = (e.reset(options={"reset_mask": done.copy()}) for e in (batch, reference))
            assert data_equivalence(again, same, exact=True)
    assert ended >= 6  # two episodes each


@every_id
def test_the_terminal_observation_is_the_leaving_users(env_id, small):
    env = DriftVectorEnv(4, ENV_IDS[env_id], **small)
    kept = DriftVectorEnv(4, ENV_IDS[env_id], autoreset_mode="Disabled", **small)
    first, _ = env.reset(seed=0)
    kept.reset(seed=0)
    for slates in slates_for(env, small["horizon"], 4):
        observation, _, left, timed_out, infos = env.step(slates)
        last, *_ = kept.step(slates)
        done = left | timed_out
        if done.any():
            break
    assert np.array_equal(infos["_final_obs"], done)
    for row in np.flatnonzero(done):
        final = infos["final_obs"][row]
        assert np.array_equal(final["slates"][-1], slates[row])
        assert data_equivalence(final, row_of(last, row), exact=True)
        assert not np.array_equal(observation["slates"][row, -1], slates[row])
        assert not np.array_equal(observation["slates"][row], first["slates"][row])
        assert not np.array_equal(infos["taste"][row], infos["final_info"]["taste"][row])
    for row in np.flatnonzero(~done):
        assert infos["final_obs"][row] is None
        assert data_equivalence(row_of(observation, row), row_of(last, row), exact=True)


@every_id
def test_make_vec_gives_the_native_batch_or_copies_that_equal_it(env_id, small):
    native = gym.make_vec(env_id, num_envs=2, **small)
    assert isinstance(native.unwrapped, DriftVectorEnv)
    assert native.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    copies = gym.make_vec(env_id, num_envs=2, vectorization_mode="sync", **small)
    assert data_equivalence(native.reset(seed=1), copies.reset(seed=1), exact=True)


# --- a row is a user alone


@every_id
def test_row_i_is_the_single_environment_of_seed_plus_i_whatever_the_batch(env_id, small):
    options = {"domain": ENV_IDS[env_id], "diagnostics": False, **small}
    single = DriftEnv(**options)
    slates = slates_for(single, 2 * small["horizon"] + 1, 300)
    whole, rewards, ends = live(DriftVectorEnv(300, **options), 11, slates)
    assert ends.sum(0).min() >= 2
    for size in (1, 2, 7, 64):
        part, some, _ = live(DriftVectorEnv(size, **options), 11, slates[:, :size])
        assert np.array_equal(some, rewards[:, :size])
        for key, values in part.items():
            assert np.array_equal(values, whole[key][:, :size]), (size, key)
    for row in (0, 6, 255, 256, 299):  # users are started in blocks of 256
        observation, _ = single.reset(seed=11 + row)
        for step, shown in enumerate(slates[:, row]):
            expected = {key: values[step, row] for key, values in whole.items()}
            assert data_equivalence(observation, expected, exact=True)
            observation, reward, left, timed_out, _ = single.step(shown)
            assert reward == rewards[step, row]
            assert (left or timed_out) == ends[step, row]
            if left or timed_out:
                observation, _ = single.reset()


@every_id
def test_what_others_are_shown_does_not_matter(env_id, small):
    env = DriftVectorEnv(5, ENV_IDS[env_id], **small)
    slates = slates_for(env, 10, 5)
    others = np.where(np.arange(5)[None, :, None] == 2, slates, slates_for(env, 10, 5, seed=1))
    (one, rewards, _), (two, same, _) = live(env, 0, slates), live(env, 0, others)
    assert np.array_equal(rewards[:, 2], same[:, 2])
    for key, values in one.items():
        assert np.array_equal(values[:, 2], two[key][:, 2]), key


def test_what_is_returned_is_the_callers_own(small):
    env, twin = DriftVectorEnv(4, **small), DriftVectorEnv(4, **small)
    answer, same = env.reset(seed=0), twin.reset(seed=0)
    for slates in slates_for(env, 8, 4):
        for part in (*answer[0].values(), *answer[-1].values()):
            if isinstance(part, np.ndarray) and part.dtype != object:
                part[...] = 0
        answer, same = env.step(slates), twin.step(slates)
        assert data_equivalence(answer, same, exact=True)


@every_mode
def test_views_show_what_copies_hold_until_the_next_step(small, mode):
    options = {"domain": "news", "autoreset_mode": mode, **small}  # where items come and go
    views, copies = DriftVectorEnv(4, copy=False, **options), DriftVectorEnv(4, **options)
    assert data_equivalence(views.reset(seed=0), copies.reset(seed=0), exact=True)
    tape = views.session._slates.shape[1]
    for slates in slates_for(views, tape + 5, 4):
        moved, expected = views.step(slates), copies.step(slates)
        assert data_equivalence(moved, expected, exact=True)
        done = moved[2] | moved[3]
        if mode == AutoresetMode.DISABLED and done.any():
            again, same = (e.reset(options={"reset_mask": done.copy()}) for e in (views, copies))
            assert data_equivalence(again, same, exact=True)
    for key in ("slates", "feedback", "available"):
        assert not moved[0][key].flags.owndata or moved[0][key] is views.session._available


# --- resets


@pytest.mark.parametrize("users", [1, 3, 100])
def test_users_who_are_warmed_up_before_they_are_due_are_those_who_would_have_come(small, users):
    env, rng = DriftVectorEnv(users, autoreset_mode="Disabled", **small), np.random.default_rng(0)
    env.reset(seed=3)
    seeds, episodes = 3 + np.arange(users), np.ones(users, np.int64)
    for time in range(30):
        if time == 15:  # new seeds: who waits for the old ones is not asked for
            seeds, episodes = 50 + np.arange(users), np.ones(users, np.int64)
            env.reset(seed=50)
        mask = rng.random(users) < 0.2
        mask[time % users] = True
        rows = np.flatnonzero(mask)
        observation, _ = env.reset(options={"reset_mask": mask})
        _, slates, feedback = env.simulator.start(seeds[rows], episodes[rows])
        assert np.array_equal(observation["slates"][rows], slates)
        assert np.array_equal(observation["feedback"][rows], feedback)
        episodes[rows] += 1


def test_a_list_of_seeds_gives_each_row_its_own(small):
    env, single = DriftVectorEnv(3, **small), DriftEnv(**small)
    observation, _ = env.reset(seed=[5, 9, 5])
    for row, seed in enumerate((5, 9, 5)):
        alone, _ = single.reset(seed=seed)
        assert data_equivalence(row_of(observation, row), alone, exact=True)
    followed, _ = env.reset(seed=[None, 5, None])
    assert np.array_equal(followed["slates"][1], observation["slates"][0])
    single.reset(seed=5)
    assert data_equivalence(row_of(followed, 0), single.reset()[0], exact=True)


def test_two_rows_of_one_seed_stay_one_user_from_episode_to_episode(small):
    env = DriftVectorEnv(5, **small)  # more than two: who begins next is made ready
    observation, _ = env.reset(seed=[7, 7, 1, 2, 3])
    for shown in slates_for(env, 3 * small["horizon"], 1):
        observation, *_ = env.step(np.repeat(shown, 5, 0))
        assert data_equivalence(row_of(observation, 0), row_of(observation, 1), exact=True)


def test_who_is_given_no_seed_is_nobody_else(small):
    observation, _ = DriftVectorEnv(2, **small).reset(seed=[None, None])
    assert not np.array_equal(observation["slates"][0], observation["slates"][1])


def test_a_mask_resets_some_rows_and_leaves_the_others(small):
    env = DriftVectorEnv(3, **small)
    env.reset(seed=0)
    before, *_ = env.step(slates_for(env, 1, 3)[0])
    mask = np.array([True, False, True])
    after, infos = env.reset(seed=40, options={"reset_mask": mask})
    assert data_equivalence(row_of(after, 1), row_of(before, 1), exact=True)
    assert np.array_equal(infos["_taste"], mask)
    assert not infos["taste"][1].any()
    alone, _ = DriftEnv(**small).reset(seed=42)
    assert data_equivalence(row_of(after, 2), alone, exact=True)


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        ([True, False, True], "reset_mask'] must be a bool array"),
        (np.array([1, 0, 1]), "reset_mask'] must be a bool array"),
        (np.array([True, False]), r"reset_mask'] must be a bool array of shape \(3,\)"),
        (np.zeros(3, bool), "reset_mask'] must be true for at least one user"),
    ],
)
def test_a_bad_mask_is_refused(small, mask, told):
    env = DriftVectorEnv(3, **small)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.reset(options={"reset_mask": mask})


def test_what_cannot_be_is_refused(small):
    with pytest.raises(ValueError, match="num_envs must be a whole number of at least 1, got 0"):
        DriftVectorEnv(0)
    with pytest.raises(ValueError, match="'Sometimes' is not a valid AutoresetMode"):
        DriftVectorEnv(2, autoreset_mode="Sometimes")
    env = DriftVectorEnv(2, **small)
    with pytest.raises(ResetNeeded, match="reset must be called before step"):
        env.step(np.zeros((2, 3), int))
    with pytest.raises(ValueError, match="reset_mask'] must be all true at the first reset"):
        env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match=r"seed must have one entry per user \(2\), got 3"):
        env.reset(seed=[1, 2, 3])
    for bad in (-1, 1.7):
        with pytest.raises(ValueError, match=f"seed must hold whole numbers .* got {bad}"):
            env.reset(seed=[3, bad])
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must have shape \(2, 3\) .*, got \(3, 3\)"):
        env.step(np.zeros((3, 3), int))


def test_without_autoreset_an_ended_row_must_be_reset(small, plain_domain):
    env = DriftVectorEnv(2, plain_domain(most=1e6), autoreset_mode="Disabled", **small)
    env.reset(seed=0)
    slates = slates_for(env, 7, 2)
    for shown in slates[:-1]:
        env.step(shown)
    with pytest.raises(ResetNeeded, match=r"rows \[0, 1\] have ended"):
        env.step(slates[-1])


# --- any configuration

SOME_DRIFTS = st.sampled_from(["none", "all"]) | st.sets(
    st.sampled_from(list(DRIFTS)), min_size=1
).map(",".join)
OPTIONS = st.fixed_dictionaries(
    {
        "domain": st.sampled_from(list(ENV_IDS.values())),
        "slate_size": st.integers(1, 12),
        "horizon": st.integers(1, 5),
        "history": st.integers(1, 6),
        "drift": SOME_DRIFTS,
        "drift_strength": st.sampled_from([0.0, 0.3, 1.0, 20.0, 1e6]),
        "world_seed": st.sampled_from([0, 1]),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(options=OPTIONS, users=st.integers(1, 5), seed=st.integers(0, 2**40), data=st.data())
def test_any_legal_configuration_and_any_legal_slates(options, users, seed, data):
    env, single = DriftVectorEnv(users, **options), DriftEnv(**options)
    row = data.draw(st.integers(0, users - 1), label="row")
    slots = st.integers(0, len(env.catalog) - 1)
    few = st.sampled_from([0, 1, len(env.catalog) - 1])  # repeats
    size = users * options["slate_size"]
    observation, infos = env.reset(seed=seed)
    alone, _ = single.reset(seed=seed + row)
    for _ in range(options["horizon"] + 2):
        assert observation in env.observation_space
        assert alone in single.observation_space
        assert data_equivalence(row_of(observation, row), alone, exact=True)
        np.testing.assert_allclose(np.linalg.norm(infos["taste"], axis=1), 1, atol=1e-5)
        flat = data.draw(st.lists(slots | few, min_size=size, max_size=size), label="slates")
        slates = np.array(flat).reshape(users, -1)
        observation, reward, left, timed_out, infos = env.step(slates)
        alone, reward_alone, left_alone, timed_out_alone, _ = single.step(slates[row])
        assert np.isfinite(reward).all()
        assert reward[row] == reward_alone
        assert (left[row], timed_out[row]) == (left_alone, timed_out_alone)
        if left_alone or timed_out_alone:
            alone, _ = single.reset()


def test_memory_of_observations_is_used_again_only_when_nobody_sees_it():
    from driftrec.envs.buffers import Buffers

    source, buffers = np.arange(30_000.0).reshape(300, 100), Buffers()
    kept = [buffers.copy(source + i) for i in range(6)]  # more than are kept
    window = kept[1][:, 1:]  # a view of an array that is let go
    address = kept[0].ctypes.data
    del kept[:2]
    again = buffers.copy(source - 1)
    assert again.ctypes.data == address
    assert buffers.copy(source - 2).ctypes.data not in (address, window.ctypes.data - 8)
    np.testing.assert_array_equal(window, source[:, 1:] + 1)
    for i, array in enumerate(kept, 2):
        np.testing.assert_array_equal(array, source + i)
