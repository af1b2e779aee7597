"""Logged episodes with propensities, for the libraries of others."""

import sys

import gymnasium as gym
import minari
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from driftrec.envs import ENV_IDS, DriftEnv, DriftVectorEnv
from driftrec.envs.export import collect, sample_slates, to_minari, to_open_bandit
from driftrec.envs.wrappers import item_features

every_id = pytest.mark.parametrize("env_id", ENV_IDS)


@pytest.fixture
def env(small):
    return gym.make_vec("driftrec/Video-v0", num_envs=4, **small)


def by_quality(env):
    """Scores of a logging policy that prefers what everybody likes."""

    def scores(observation):
        return np.tile(3 * env.catalog.quality, (len(observation["slates"]), 1))

    return scores


# --- episodes


@every_id
def test_a_logged_episode_is_what_its_user_lives_through(env_id, small):
    batch = DriftVectorEnv(3, ENV_IDS[env_id], diagnostics=False, **small)
    single = DriftEnv(ENV_IDS[env_id], diagnostics=False, **small)
    for number, episode in enumerate(collect(batch, 5, seed=20)):
        assert episode.seed == 20 + number
        observation, _ = single.reset(seed=episode.seed)
        for step, slate in enumerate(episode.slates):
            logged = {key: value[step] for key, value in episode.observations.items()}
            assert data_equivalence(observation, logged, exact=True)
            observation, reward, left, timed_out, _ = single.step(slate)
            assert reward == episode.rewards[step]
            assert (left or timed_out) == (step + 1 == len(episode))
        assert left == episode.terminated
        last = {key: value[-1] for key, value in episode.observations.items()}
        assert data_equivalence(observation, last, exact=True)


def test_an_episode_depends_on_its_user_alone(env, small):
    many = DriftVectorEnv(7, "video", **small)
    for one, other in zip(
        collect(env, 6, 3, by_quality(env)), collect(many, 6, 3, by_quality(env)), strict=True
    ):
        assert np.array_equal(one.slates, other.slates)
        assert np.array_equal(one.rewards, other.rewards)
        np.testing.assert_allclose(one.propensity, other.propensity, rtol=1e-12)


@every_id
def test_what_is_not_available_is_never_logged(env_id, small):
    batch = DriftVectorEnv(4, ENV_IDS[env_id], **small)
    if not batch.simulator.items_churn:
        pytest.skip("nothing comes and goes here")
    for episode in collect(batch, 4):
        there = episode.observations["available"][:-1]
        assert np.take_along_axis(there, episode.slates, axis=1).all()
        np.testing.assert_allclose(episode.propensity[:, 0], 1 / there.sum(1))


# --- propensities


def test_a_uniform_slate_has_the_probability_of_a_draw_without_replacement(env):
    for episode in collect(env, 4):
        expected = 1 / (len(env.catalog) - np.arange(3))
        np.testing.assert_allclose(episode.propensity, np.tile(expected, (len(episode), 1)))
        assert all(len(set(slate)) == 3 for slate in episode.slates)


def test_slates_come_as_often_as_their_propensities_say(rng):
    scores = np.array([0.0, 1.0, 2.0, -np.inf], np.float32)
    uniform = rng.random((60_000, 4), np.float32) * 0.999 + 5e-4
    slates, propensity = sample_slates(np.tile(scores, (len(uniform), 1)), 2, uniform)
    weight = np.exp(scores)
    for first in range(3):
        for second in set(range(3)) - {first}:
            shown = (slates == (first, second)).all(1)
            by_hand = weight[first] / weight.sum() * weight[second] / (weight.sum() - weight[first])
            assert shown.mean() == pytest.approx(by_hand, abs=0.01)
            np.testing.assert_allclose(propensity[shown].prod(1), by_hand, rtol=1e-6)
    assert not (slates == 3).any()


def test_propensities_stay_probabilities_where_one_item_has_all_the_weight():
    scores = np.full((1, 50), -60.0, np.float32)
    scores[0, 7] = 60.0
    slates, propensity = sample_slates(scores, 50, np.full((1, 50), 0.5, np.float32))
    assert slates[0, 0] == 7
    assert ((propensity > 0) & (propensity <= 1)).all()
    assert propensity[0, -1] == pytest.approx(1)


def test_importance_weights_find_the_reward_of_another_policy(small):
    """The log of one policy tells what another would earn at the first request."""
    env = DriftVectorEnv(3000, "plain", **small | {"horizon": 1, "slate_size": 1})
    logged, meant = collect(env, 3000), by_quality(env)
    weight = np.exp(3 * env.catalog.quality.astype(float))
    target = weight / weight.sum()
    estimate = np.array(
        [e.rewards[0] * target[e.slates[0, 0]] / e.propensity[0, 0] for e in logged]
    )
    truth = np.array([e.rewards[0] for e in collect(env, 3000, scores=meant)])
    error = np.sqrt(estimate.var() / len(estimate) + truth.var() / len(truth))
    assert abs(estimate.mean() - truth.mean()) < 4 * error
    assert truth.mean() > 0


@pytest.mark.parametrize("give", [lambda o: np.zeros((4, 3)), lambda o: np.full((4, 1000), np.nan)])
def test_scores_of_another_shape_are_refused(env, give):
    with pytest.raises(ValueError, match=r"scores must give numbers of shape \(4, 1000\)"):
        collect(env, 1, scores=give)


def test_another_autoreset_is_refused(small):
    env = DriftVectorEnv(2, autoreset_mode="Disabled", **small)
    with pytest.raises(ValueError, match="env must have SAME_STEP autoreset"):
        collect(env, 1)
    with pytest.raises(ValueError, match="env must be made with copy=True to be logged"):
        collect(DriftVectorEnv(2, copy=False, **small), 1)


# --- Minari


@pytest.mark.filterwarnings("ignore::UserWarning:minari")
@pytest.mark.parametrize("data_format", ["arrow", "parquet"])
def test_minari_reads_what_was_logged(env, data_format, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    episodes = collect(env, 6, seed=3, scores=by_quality(env))
    name = f"driftrec/video/{data_format}-v0"
    to_minari(episodes, env, name, data_format=data_format, algorithm_name="by quality")
    dataset = minari.load_dataset(name)
    assert dataset.total_episodes == 6
    assert dataset.total_steps == sum(map(len, episodes))
    assert dataset.observation_space == env.single_observation_space
    assert dataset.action_space == env.single_action_space
    for read, episode in zip(dataset.iterate_episodes(), episodes, strict=True):
        assert np.array_equal(read.actions, episode.slates)
        assert np.array_equal(read.rewards, episode.rewards)
        assert read.terminations[-1] == episode.terminated != read.truncations[-1]
        assert not read.terminations[:-1].any()
        assert not read.truncations[:-1].any()
        np.testing.assert_allclose(read.infos["propensity"][1:], episode.propensity)
        for key, value in episode.observations.items():
            assert np.array_equal(read.observations[key], value), key


@pytest.mark.filterwarnings("ignore::UserWarning:minari")
def test_minari_recovers_the_environment_and_the_episode(env, small, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    episodes = collect(env, 2, seed=3)
    to_minari(episodes, env, "driftrec/video/uniform-v0")
    again = minari.load_dataset("driftrec/video/uniform-v0").recover_environment()
    assert again.unwrapped.horizon == small["horizon"]
    again.reset(seed=episodes[1].seed)
    rewards = [again.step(slate)[1] for slate in episodes[1].slates]
    assert np.array_equal(rewards, episodes[1].rewards)


def test_without_minari_the_extra_is_named(env, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r"pip install 'driftrec\[offline\]'"):
        to_minari([], env, "x-v0")


# --- Open Bandit Pipeline


@every_id
def test_open_bandit_rows_are_the_slots(env_id, small):
    env = DriftVectorEnv(4, ENV_IDS[env_id], **small)
    episodes = collect(env, 5)
    log = to_open_bandit(episodes, env)
    rows = sum(map(len, episodes)) * 3
    assert (log["n_rounds"], log["n_actions"]) == (rows, len(env.catalog))
    assert log["context"].shape[0] == rows
    assert log["context"].ndim == 2
    assert np.array_equal(log["action_context"], item_features(env.catalog))
    for key in ("action", "position", "reward", "pscore", "episode_id"):
        assert log[key].shape == (rows,), key
    assert log["position"].dtype.kind == log["action"].dtype.kind == "i"
    assert ((log["pscore"] > 0) & (log["pscore"] <= 1)).all()
    assert np.array_equal(
        log["action"].reshape(-1, 3), np.concatenate([e.slates for e in episodes])
    )
    total = np.bincount(log["episode_id"], log["reward"])
    np.testing.assert_allclose(total, [e.rewards.sum() for e in episodes], atol=1e-9)
    taken = np.concatenate([e.observations["feedback"][1:, -1] for e in episodes]).ravel() > 0
    slate_taken = taken.reshape(-1, 3).any(1).repeat(3)
    assert not log["reward"][slate_taken & ~taken].any()


def test_open_bandit_slates_have_cascade_and_joint_propensities(env):
    episodes = collect(env, 3, scores=by_quality(env))
    log = to_open_bandit(episodes, env, kind="slates")
    propensity = np.concatenate([episode.propensity for episode in episodes])
    assert log["n_rounds"] == len(propensity)
    assert np.array_equal(log["slate_id"], np.arange(len(propensity)).repeat(3))
    np.testing.assert_allclose(log["pscore_cascade"].reshape(-1, 3), propensity.cumprod(1))
    np.testing.assert_allclose(log["pscore"].reshape(-1, 3).T, [propensity.prod(1)] * 3)


def test_open_bandit_takes_features_of_ones_own_and_survives_npz(env, tmp_path):
    episodes = collect(env, 2)
    log = to_open_bandit(episodes, env, context=lambda observation: observation["time"])
    np.savez(tmp_path / "log.npz", **log)
    with np.load(tmp_path / "log.npz") as read:
        assert set(read) == set(log)
        assert int(read["n_rounds"]) == log["n_rounds"]
        first = episodes[0].observations["time"][0]
        np.testing.assert_array_equal(read["context"][:3], [first] * 3)


def test_open_bandit_refuses_what_it_does_not_know(env):
    with pytest.raises(ValueError, match="kind must be 'items' or 'slates', got 'users'"):
        to_open_bandit(collect(env, 1), env, kind="users")
    with pytest.raises(ValueError, match="episodes must hold at least one episode, got none"):
        to_open_bandit([], env)
