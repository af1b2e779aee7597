"""Plain spaces over the environments, and the bridge to Stable-Baselines3."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from driftrec.envs import ENV_IDS, DriftEnv, DriftVectorEnv
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.envs.wrappers import (
    FlatObservation,
    ProtoAction,
    SingleItem,
    VectorFlatObservation,
    VectorProtoAction,
    VectorSingleItem,
    item_features,
)

every_id = pytest.mark.parametrize("env_id", ENV_IDS)
WRAPPERS = {
    "flat": (lambda e: FlatObservation(e, last=2), lambda e: VectorFlatObservation(e, last=2)),
    "proto": (
        lambda e: ProtoAction(FlatObservation(e, last=2)),
        lambda e: VectorProtoAction(VectorFlatObservation(e, last=2)),
    ),
    "single": (
        lambda e: SingleItem(FlatObservation(e, last=2)),
        lambda e: VectorSingleItem(VectorFlatObservation(e, last=2)),
    ),
}
every_wrapper = pytest.mark.parametrize("kind", WRAPPERS)


def made(kind, small, env_id="driftrec/Video-v0"):
    options = small | {"slate_size": 1 if kind == "single" else 3}
    return WRAPPERS[kind][0](gym.make(env_id, **options))


@every_wrapper
@every_id
def test_the_checkers_accept_every_wrapper(env_id, kind, small):
    env = made(kind, small, env_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*no display for render_mode 'human'.*")
        warnings.filterwarnings("ignore", ".*different from the unwrapped version.*")
        check_env(env)
        sb3_check_env(env)


@every_wrapper
def test_a_wrapped_row_is_a_wrapped_single_environment(kind, small):
    options = {"domain": "video", **small, "slate_size": 1 if kind == "single" else 3}
    one, many = WRAPPERS[kind]
    single, batch = one(DriftEnv(**options)), many(DriftVectorEnv(3, **options))
    batch.action_space.seed(0)
    observation, _ = batch.reset(seed=5)
    alone, _ = single.reset(seed=6)
    finals = 0
    for _ in range(13):
        assert observation in batch.observation_space
        np.testing.assert_allclose(observation[1], alone, atol=1e-6)
        actions = batch.action_space.sample()
        observation, reward, left, timed_out, infos = batch.step(actions)
        alone, expected, *ends, _ = single.step(actions[1])
        assert reward[1] == expected
        assert [left[1], timed_out[1]] == ends
        if any(ends):
            np.testing.assert_allclose(infos["final_obs"][1], alone, atol=1e-6)
            finals += 1
            alone, _ = single.reset()
    assert finals >= 2


def test_flat_features_are_what_they_say(small):
    env = FlatObservation(DriftEnv("video", **small), last=2)
    catalog, requests = env.unwrapped.catalog, len(env.unwrapped.simulator.world.request_text)
    topics, size = catalog.topics, 2 * catalog.num_topics
    env.reset(seed=0)
    for slate in np.random.default_rng(0).integers(0, len(catalog), (6, 3)):
        flat, _, left, timed_out, _ = env.step(slate)
        feedback = env.unwrapped.session.observe()["feedback"][0, -1]
        shown, taken, request, time = np.split(flat, np.cumsum([size, size, requests]))
        np.testing.assert_allclose(shown[catalog.num_topics :], topics[slate].mean(0), atol=1e-6)
        np.testing.assert_allclose(taken[catalog.num_topics :], feedback @ topics[slate], atol=1e-6)
        assert request.sum() == 1
        np.testing.assert_allclose(time[:2] @ time[:2], 1, atol=1e-5)
        if left or timed_out:
            break


def test_a_proto_action_shows_the_nearest_items_first(small):
    env = ProtoAction(DriftEnv("video", **small))
    features = item_features(env.unwrapped.catalog)
    for item in (0, 17, 500):
        slate = env.action(features[item])
        assert len(set(slate)) == 3
        distance = np.linalg.norm(features - features[item], axis=1)
        np.testing.assert_allclose(distance[slate], np.sort(distance)[:3], atol=1e-3)
        assert distance[slate[0]] == 0


def test_a_proto_action_may_use_features_of_ones_own(small):
    line = np.arange(1000, dtype=float)[:, None]
    env = ProtoAction(DriftEnv("video", **small), features=line)
    assert env.action_space == gym.spaces.Box(-1, 1, (1,), np.float32)
    assert sorted(env.action([1.0])) == [997, 998, 999]
    assert sorted(env.action([0.0005])) == [499, 500, 501]


@every_id
def test_a_proto_action_shows_nothing_unavailable(env_id, small):
    env = VectorProtoAction(DriftVectorEnv(20, ENV_IDS[env_id], **small))
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    if "available" not in observation:
        pytest.skip("nothing comes and goes here")
    slates = env.actions(env.action_space.sample())
    assert np.take_along_axis(observation["available"], slates, axis=1).all()


def test_what_does_not_fit_is_refused(small):
    env = DriftEnv(**small)
    with pytest.raises(ValueError, match=r"last must be a whole number in \[1, 4\] .*, got 5"):
        FlatObservation(env, last=5)
    with pytest.raises(ValueError, match="slate_size must be 1 for an action of a single item"):
        SingleItem(env)
    with pytest.raises(ValueError, match=r"features must be finite and of shape \(\d+, F\)"):
        ProtoAction(env, features=np.zeros((3, 2)))
    proto = ProtoAction(env)
    proto.reset(seed=0)
    with pytest.raises(ValueError, match="action must be finite and of shape"):
        proto.step(np.zeros(3))
    with pytest.raises(ValueError, match="action must be finite and of shape"):
        proto.step(np.full(proto.action_space.shape, np.nan))


# --- Stable-Baselines3


@pytest.mark.parametrize(("algorithm", "kind"), [(SAC, "proto"), (TD3, "proto"), (DQN, "single")])
def test_value_based_algorithms_learn_on_them(algorithm, kind, small):
    model = algorithm(
        "MlpPolicy",
        made(kind, small),
        learning_starts=50,
        buffer_size=500,
        policy_kwargs={"net_arch": [16]},
        seed=0,
    )
    model.learn(200)
    assert model.num_timesteps == 200


@pytest.mark.parametrize(("algorithm", "kind"), [(SAC, "proto"), (DQN, "single"), (PPO, "flat")])
def test_they_learn_on_the_native_batch_too(algorithm, kind, small):
    options = {"domain": "video", **small, "slate_size": 1 if kind == "single" else 3}
    env = BatchVecEnv(WRAPPERS[kind][1](DriftVectorEnv(4, **options)))
    more = {"n_steps": 20, "batch_size": 40} if algorithm is PPO else {"learning_starts": 50}
    model = algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [16]}, seed=0, **more)
    model.learn(200)
    assert model.num_timesteps >= 200


def test_the_bridge_tells_stable_baselines_how_episodes_end(small):
    batch, twin = (DriftVectorEnv(5, "video", **small) for _ in range(2))
    env = BatchVecEnv(batch)
    env.seed(3)
    assert data_equivalence(env.reset(), twin.reset(seed=3)[0], exact=True)
    total, length, ended = np.zeros(5), np.zeros(5, int), 0
    for slates in np.random.default_rng(0).integers(0, len(batch.catalog), (13, 5, 3)):
        observation, reward, done, infos = env.step(slates)
        expected, same, left, timed_out, batch_infos = twin.step(slates)
        assert data_equivalence(observation, expected, exact=True)
        np.testing.assert_allclose(reward, same, rtol=1e-6)
        total, length = total + same, length + 1
        for row, info in enumerate(infos):
            if not done[row]:
                assert info == {}
                continue
            ended += 1
            assert info["TimeLimit.truncated"] == timed_out[row] != left[row]
            final = batch_infos["final_obs"][row]
            assert data_equivalence(info["terminal_observation"], final, exact=True)
            assert info["episode"]["r"] == pytest.approx(total[row], rel=1e-5)
            assert info["episode"]["l"] == length[row]
            total[row], length[row] = 0, 0
    assert ended >= 10


def test_the_bridge_reaches_through_wrappers_and_asks_for_the_right_autoreset(small):
    env = BatchVecEnv(VectorFlatObservation(DriftVectorEnv(2, **small)))
    assert env.get_attr("slate_size") == [3, 3]
    assert env.env_is_wrapped(FlatObservation) == [False, False]
    with pytest.raises(ValueError, match="indices must be None for a native batch"):
        env.set_attr("label", 3, indices=[0])
    with pytest.raises(ValueError, match="horizon must be given when the environment is made"):
        env.set_attr("horizon", 3)
    env.set_attr("label", "ours")
    assert env.env.unwrapped.label == "ours" and env.get_attr("label") == ["ours"] * 2
    other = DriftVectorEnv(2, autoreset_mode=AutoresetMode.NEXT_STEP, **small)
    with pytest.raises(ValueError, match="env must have SAME_STEP autoreset, got"):
        BatchVecEnv(other)
    with pytest.raises(ValueError, match="env must be made with copy=True to be learned from"):
        BatchVecEnv(DriftVectorEnv(2, copy=False, **small))
