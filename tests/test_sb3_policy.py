"""The policy in Stable-Baselines3's own algorithms, by its name and with nothing else."""

from __future__ import annotations

import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy

from driftrec.agents.gru import GRUConfig, GRUNetwork
from driftrec.agents.platform import Platform
from driftrec.agents.sb3 import InterestAttentionPolicy
from driftrec.envs import config
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.envs.spaces import SlateSpace

VIDEO = "driftrec.envs:driftrec/Video-v0"
SMALL = {"slate_size": 4, "history": 6, "horizon": 10, "diagnostics": False}
BRIEF = {"n_steps": 8, "seed": 0, "device": "cpu"}


def batch_env(num_envs=4):
    return BatchVecEnv(gym.make_vec(VIDEO, num_envs=num_envs, **SMALL))


@pytest.fixture(scope="module", params=[PPO, A2C])
def model(request):
    batch = {"batch_size": 16, "n_epochs": 2} if request.param is PPO else {}
    return request.param("InterestAttentionPolicy", batch_env(), **BRIEF, **batch)


def test_a_name_and_an_environment_are_enough_to_learn(model):
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.learn(2 * 32)
    after = model.policy.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = [k for k, v in after.items() if not torch.equal(v, before[k])]
    for part in ("vector", "read", "lasting_pull", "passing_pull", "value", "item_bias"):
        assert any(name.startswith(f"network.{part}") for name in moved), part


def test_callbacks_and_evaluation_are_stable_baselines_own(model, tmp_path):
    watch = EvalCallback(
        batch_env(3), n_eval_episodes=3, eval_freq=8, log_path=str(tmp_path), verbose=0
    )
    model.learn(32, callback=[CheckpointCallback(8, str(tmp_path), "kept"), watch])
    assert np.isfinite(watch.best_mean_reward)
    assert list(tmp_path.glob("kept_*_steps.zip"))
    mean, _ = evaluate_policy(model, batch_env(3), n_eval_episodes=3)
    assert mean > 0


@pytest.mark.parametrize("with_env", [True, False])
def test_a_saved_model_finds_its_items_again(model, tmp_path, with_env):
    model.save(tmp_path / "model")
    env = batch_env()
    env.seed(1)
    observation = env.reset()
    ours, _ = model.predict(observation, deterministic=True)
    config._make.cache_clear()  # as in a process that has made no environment
    loaded = type(model).load(tmp_path / "model", env=env if with_env else None, device="cpu")
    theirs, _ = loaded.predict(observation, deterministic=True)
    np.testing.assert_array_equal(ours, theirs)
    if with_env:
        loaded.learn(32)


def test_a_single_environment_and_another_network_will_do():
    env = gym.make(VIDEO, **SMALL)
    kwargs = {"network_class": GRUNetwork, "network": GRUConfig(hidden=16)}
    model = PPO(
        "InterestAttentionPolicy", env, batch_size=4, n_epochs=1, policy_kwargs=kwargs, **BRIEF
    )
    model.learn(8)
    assert type(model.policy.network) is GRUNetwork


def test_the_action_space_knows_its_items_and_is_an_ordinary_one_otherwise():
    env = gym.make(VIDEO, **SMALL)
    space = pickle.loads(pickle.dumps(env.action_space))
    assert isinstance(space, SlateSpace)
    assert space.simulator is env.unwrapped.simulator
    assert Platform.of(space).log is Platform.of(env).log
    assert space == env.action_space == gym.spaces.MultiDiscrete([1000] * 4)
    assert len(pickle.dumps(space)) < 1000  # the recipe, not the world


def test_loading_a_model_leaves_the_platforms_own_log_alone(model):
    log = Platform.of(model.action_space).log
    before = log.features.copy()
    other = {
        k: v + 1 if k == "network.features" else v for k, v in model.policy.state_dict().items()
    }
    InterestAttentionPolicy(
        model.observation_space, model.action_space, lambda _: 1e-3
    ).load_state_dict(other)
    np.testing.assert_array_equal(log.features, before)


def test_spaces_without_items_are_refused():
    vector = gym.make_vec(VIDEO, num_envs=2, **SMALL)
    observation = vector.single_observation_space
    policy = InterestAttentionPolicy
    with pytest.raises(ValueError, match="MultiDiscrete, which has no 'simulator'"):
        policy(observation, gym.spaces.MultiDiscrete([1000] * 4), lambda _: 1e-3)
    with pytest.raises(ValueError, match="action_space must be MultiDiscrete"):
        policy(observation, gym.spaces.Discrete(4), lambda _: 1e-3)
