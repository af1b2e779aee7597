"""Every network behind the same interface: tests run over ``NETWORKS``."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from stirred import stir

import driftrec.envs  # noqa: F401
from driftrec.agents.gru import GRUConfig
from driftrec.agents.learners import NETWORKS, make_learner
from driftrec.agents.mlp import MLPConfig
from driftrec.envs.sb3 import BatchVecEnv

SMALL = {"slate_size": 4, "history": 8, "horizon": 12, "diagnostics": False}
NAMES = list(NETWORKS)
ADAPTIVE = [name for name in NAMES if name != "static-attention"]


def batch_env(num_envs=6, **options):
    env = gym.make_vec("driftrec/DriftingInterest-v0", num_envs=num_envs, **(SMALL | options))
    return BatchVecEnv(env)


def stirred(name):
    policy = make_learner(name, "ppo", batch_env(), seed=0, hidden=16).policy
    stir(policy.network)
    return policy


@pytest.fixture(scope="module", params=NAMES)
def policy(request):
    return stirred(request.param)


@pytest.fixture(scope="module", params=ADAPTIVE)
def adaptive(request):
    return stirred(request.param)


def random_episodes(num_items=1000, batch=3, steps=20, slots=4):
    generator = torch.Generator().manual_seed(0)
    slates = torch.randint(num_items, (batch, steps, slots), generator=generator)
    feedback = torch.zeros(batch, steps, slots)
    feedback[..., 1] = torch.rand(batch, steps, generator=generator).round()
    request = torch.randint(5, (batch, steps), generator=generator)
    return slates, feedback, request, torch.rand(batch, steps, 4, generator=generator)


def test_cached_steps_agree_with_one_causal_pass(policy):
    network, parts = policy.network, random_episodes()
    with torch.no_grad():
        whole = network(*parts, last=12)
        output, memory = network.begin(*(p[:, :9] for p in parts))
        for step in range(12):
            if step:
                output, memory = network.step(memory, *(p[:, 8 + step : 9 + step] for p in parts))
            for name in ("scores", "value"):
                one, all_ = getattr(output, name)[:, 0], getattr(whole, name)[:, step]
                torch.testing.assert_close(one, all_, atol=1e-5, rtol=0)


def test_a_later_slate_changes_no_earlier_score(policy):
    network, parts = policy.network, random_episodes()
    with torch.no_grad():
        before = network(*parts, last=12).scores[:, :-1]
        parts[0][:, -1] = 7
        after = network(*parts, last=12).scores[:, :-1]
    torch.testing.assert_close(before, after, atol=0, rtol=0)


def test_every_adaptive_network_learns_from_the_newest_slate(adaptive):
    network, parts = adaptive.network, random_episodes()
    with torch.no_grad():
        before = network(*parts, last=12).scores
        parts[0][:, 14] = 7
        after = network(*parts, last=12).scores
    changed = (before - after).abs().amax((0, 2)) > 1e-4
    assert changed.tolist() == [step >= 14 - 8 for step in range(12)]


def test_the_static_network_sees_later_requests_and_no_later_slate():
    network, parts = stirred("static-attention").network, random_episodes()
    slates, feedback, request, time = parts
    with torch.no_grad():
        before = network(*parts, last=12).scores
        slates, feedback = slates.clone(), feedback.clone()
        slates[:, 9:], feedback[:, 9:] = 7, 0.5
        torch.testing.assert_close(
            network(slates, feedback, request, time, last=12).scores, before, atol=0, rtol=0
        )
        request[:, 15] = (request[:, 15] + 1) % 5
        after = network(slates, feedback, request, time, last=12).scores
        changed = (before - after).abs().amax((0, 2)) > 1e-5
        assert changed.tolist() == [step == 15 - 8 for step in range(12)]
        slates[:, 3] = 7
        warmer = network(slates, feedback, request, time, last=12).scores
        assert ((warmer - after).abs().amax((0, 2)) > 1e-4).all()


def test_the_window_forgets_what_lies_before_it():
    env = batch_env()
    network = make_learner("mlp", "ppo", env, seed=0, hidden=16, window=3).policy.network
    token, context = torch.randn(2, 9, 16), torch.zeros(2, 9, network.interest.width)
    with torch.no_grad():
        before = network.mix_whole(token, context)
        token[:, 4] += 1
        changed = (network.mix_whole(token, context) - before).abs().amax((0, 2)) > 0
    assert changed.tolist() == [4 <= step < 4 + 3 for step in range(9)]


def test_users_who_begin_anew_leave_the_others_alone(policy):
    env = batch_env(5)
    env.seed(3)
    observation, state = env.reset(), None
    start = np.zeros(5, bool)
    for _ in range(15):  # beyond the horizon: every row starts a second episode on the way
        slates, state = policy.predict(observation, state, start, deterministic=True)
        observation, _, start, _ = env.step(slates)
        if start.any():
            break
    assert start.any()
    start[0], start[1] = False, True  # some go on, others not
    tensors = {k: torch.as_tensor(v) for k, v in observation.items()}
    with torch.no_grad():
        kept = policy.advance(tensors, state, start)[0].scores
        anew = policy.advance(tensors, None, None)[0].scores
    torch.testing.assert_close(kept[start], anew[start], atol=1e-4, rtol=0)
    assert (kept[0] - anew[0]).abs().max() > 1e-4


@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
@pytest.mark.parametrize("name", [n for n in NAMES if n != "interest-attention"])
def test_every_network_trains_and_survives_a_save(name, algo, check_saved):
    env = batch_env(8)
    options = {"pretrain_steps": 96, "privileged": True, "hidden": 16, "episode_batch": 4}
    learner = make_learner(name, algo, env, seed=1, **options)
    before = {k: v.clone() for k, v in learner.policy.state_dict().items()}
    learner.learn(3 * 96)
    after = learner.policy.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = [k for k, v in after.items() if not torch.equal(v, before[k])]
    mixing = {"gru": "recurrent", "mlp": "perceptron"}.get(name, "backbone")
    assert any(mixing in path for path in moved)
    loaded = check_saved(learner, env)
    assert type(loaded.policy.network) is NETWORKS[name][0]


def test_a_network_refuses_the_options_of_another():
    with pytest.raises(TypeError, match="unexpected keyword argument 'heads'"):
        make_learner("gru", "ppo", batch_env(2), heads=2)
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        MLPConfig(window=0)
    assert GRUConfig().layers == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loyalty": -0.9}, "loyalty must be a number of at least 0, got -0.9"),
        ({"diversity": float("nan")}, "diversity must be a number of at least 0, got nan"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"half_lives": (0.0,)}, r"half_lives must be finite numbers above 0, got \(0.0,\)"),
        ({"half_lives": ()}, r"half_lives must be finite numbers above 0, got \(\)"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        make_learner("interest-attention", "ppo", batch_env(2), **options)
