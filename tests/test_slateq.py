"""SlateQ: what a slate is worth by its items, the targets it learns towards, and what it learns."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import driftrec.envs  # noqa: F401
from driftrec.agents.learners import make_learner
from driftrec.agents.slateq import expected_gain, next_value, slate_rank
from driftrec.envs.sb3 import BatchVecEnv

SMALL = {"slate_size": 4, "history": 8, "horizon": 12, "diagnostics": False}


def batch_env(num_envs=8):
    return BatchVecEnv(gym.make_vec("driftrec/DriftingInterest-v0", num_envs=num_envs, **SMALL))


def by_hand(odds, gain, slate):
    weight = np.exp(odds[list(slate)])
    return (weight * gain[list(slate)]).sum() / (1 + weight.sum())


@pytest.mark.parametrize("seed", range(5))
def test_the_slate_of_the_rank_is_the_best_of_all_slates(seed):
    rng = np.random.default_rng(seed)
    odds, gain = rng.normal(size=7), rng.uniform(0.1, 3, 7)
    best = max(by_hand(odds, gain, slate) for slate in permutations(range(7), 3))
    rank = slate_rank(torch.tensor(odds), torch.tensor(gain), 3, rounds=5)
    assert by_hand(odds, gain, rank.topk(3).indices.numpy()) == pytest.approx(best)
    simple = slate_rank(torch.tensor(odds), torch.tensor(gain), 3, rounds=0)
    np.testing.assert_array_equal(simple.topk(3).indices, np.argsort(-np.exp(odds) * gain)[:3])


def test_a_slate_is_worth_what_its_items_are_by_their_chances():
    odds, gain = np.array([0.5, -1.0, 2.0]), np.array([1.0, -2.0, 0.5])
    value = expected_gain(torch.tensor(odds), torch.tensor(gain))
    assert float(value) == pytest.approx(by_hand(odds, gain, (0, 1, 2)))


def test_nothing_comes_after_a_user_has_left():
    value = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    episodes = SimpleNamespace(
        alive=torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
        value=torch.tensor([[0.0, 0.0, 0.0, 4.0], [0.0, 0.0, 0.0, 0.0]]),
    )
    assert next_value(value, episodes).tolist() == [[2.0, 3.0, 4.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("on_policy", [True, False])
def test_targets_are_the_discounted_values_of_the_next_slates(on_policy):
    env = batch_env(4)
    learner = make_learner(
        "gru", "slateq", env, seed=0, hidden=16, gamma=0.5, on_policy=on_policy, rounds=2
    )
    learner.learn(48)
    played = {}
    learner.learn_from = lambda episodes: played.update(batch=episodes)
    learner.learn(48, reset_num_timesteps=False)
    batch = played["batch"]
    with torch.no_grad():
        target, output = learner.targets(batch), learner.read(batch)
        network, head = learner.policy.network, learner.policy.network.head
        tau, slope, outside = network.choice.detach().numpy()
        user, step = 1, 3
        slate = batch.slates[user, -batch.steps + step + 1]
        if not on_policy:
            slate = head.rank(output)[user, step + 1].topk(4).indices
        utility = output.scores[user, step + 1, slate] - np.log(2.5)  # worth 1, loyalty 1.5
        odds = utility.numpy() * np.exp(-tau) - outside
        gain = head.gain(output)[user, step + 1, slate].numpy()
        value = float(output.value[user, step + 1])
    expected = 0.5 * (value + by_hand(odds + slope * np.arange(4), gain, range(4)))
    assert float(target[user, step]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("agent", ["interest-attention", "mlp"])
def test_it_trains_on_any_network_and_survives_a_save(agent, check_saved):
    env = batch_env()
    options = {"pretrain_steps": 96, "privileged": True, "episode_batch": 4, "rounds": 1}
    learner = make_learner(agent, "slateq", env, seed=1, hidden=16, **options)
    before = {k: v.clone() for k, v in learner.policy.state_dict().items()}
    learner.learn(3 * 96)
    after = learner.policy.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert {"network.head.query.weight", "network.vector.weight", "network.choice"} <= moved
    loaded = check_saved(learner, env)
    assert int(loaded.policy.network.head.rounds) == 1


# --- a world in which what pleases now costs later ------------------------------------------------


class Tempting(gym.vector.VectorEnv):
    """Six items, slates of one. Item 0 earns 1 and spoils the next three requests; 1 earns 0.6."""

    def __init__(self, num_envs, horizon=16):
        self.num_envs, self.horizon, self.slate_size, self.history = num_envs, horizon, 1, 2
        self.metadata = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
        self.worth = np.ones(6, np.float32)
        world = SimpleNamespace(catalog=range(6), request_text=("",))
        self.simulator = SimpleNamespace(
            world=world, worth=self.worth, slate_size=1, history=2, public_log=self.public_log
        )
        self.session = SimpleNamespace(
            seeds=np.zeros(num_envs), episodes=np.zeros(num_envs), leaving=True
        )
        self.single_observation_space = spaces.Dict(
            {
                "slates": spaces.Box(-1, 5, (2, 1), np.int32),
                "feedback": spaces.Box(0, 1, (2, 1), np.float32),
                "request": spaces.Discrete(1),
                "time": spaces.Box(-1, 1, (4,), np.float32),
            }
        )
        self.single_action_space = spaces.MultiDiscrete([6])

    def public_log(self):
        zero = np.zeros(6, np.float32)
        one = np.ones(1, np.float32)
        return {
            "features": np.eye(6, dtype=np.float32), "bias": zero, "reward": zero, "position": one,
            "noise": 1.0,
        }  # fmt: skip

    def reset(self, *, seed=None, options=None):
        self.spoiled, self.t = np.zeros(self.num_envs, int), 0
        self.slates = np.full((self.num_envs, 2, 1), -1, np.int32)
        self.grades = np.zeros((self.num_envs, 2, 1), np.float32)
        return self.observe(), {}

    def observe(self):
        users = self.num_envs
        return {
            "slates": self.slates.copy(), "feedback": self.grades.copy(),
            "request": np.zeros(users, np.int64), "time": np.zeros((users, 4), np.float32),
        }  # fmt: skip

    def step(self, actions):
        item = actions[:, 0]
        grade = np.where(item == 0, 1.0, np.where(item == 1, 0.6, 0.1)) * (self.spoiled == 0)
        self.spoiled = np.where(
            (item == 0) & (self.spoiled == 0), 3, np.maximum(self.spoiled - 1, 0)
        )
        self.slates = np.concatenate((self.slates[:, 1:], actions[:, None].astype(np.int32)), 1)
        self.grades = np.concatenate((self.grades[:, 1:], grade[:, None, None]), 1).astype("f4")
        self.t += 1
        over, infos = np.full(self.num_envs, self.t == self.horizon), {}
        if over[0]:
            last = self.observe()
            infos["final_obs"] = [{k: v[i] for k, v in last.items()} for i in range(self.num_envs)]
            self.reset()
        return self.observe(), grade, np.zeros_like(over), over, infos


def earned(learner, env):
    observation, state, total = env.reset(), None, 0.0
    for _ in range(16):
        slates, state = learner.predict(observation, state, deterministic=True)
        observation, reward, _, _ = env.step(slates)
        total += reward.mean()
    return total / 16


@pytest.mark.parametrize("on_policy", [True, False])
def test_it_learns_to_forgo_what_spoils_the_future(on_policy):
    env = BatchVecEnv(Tempting(32))
    learner = make_learner(
        "gru", "slateq", env, seed=0, hidden=16, gamma=0.95, learning_rate=1e-2,
        on_policy=on_policy, greed=1.0, vectors=1,
    )  # fmt: skip
    before = earned(learner, env)
    learner.learn(32 * 16 * 24)
    # Item 0 whenever it can be had earns 1 + 0 + 0 + 0 in four steps, item 1 always earns 0.6.
    assert before < 0.4
    assert earned(learner, env) > 0.55
