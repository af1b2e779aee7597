"""A trained network on a catalogue that it never met."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import driftrec.envs  # noqa: F401
from driftrec.agents.learners import make_learner
from driftrec.agents.policy import ItemTable
from driftrec.agents.transfer import OF_ITEMS, transfer
from driftrec.envs.sb3 import BatchVecEnv


@pytest.fixture(scope="module")
def env() -> BatchVecEnv:
    return BatchVecEnv(
        gym.make_vec("driftrec/Video-v0", 4, slate_size=3, history=4, horizon=6, diagnostics=False)
    )


def learner(env: BatchVecEnv, items: ItemTable, **options):
    options = {"hidden": 16, "pretrain_steps": 24, "privileged": True, **options}
    return make_learner("interest-attention", "ppo", env, seed=1, items=items, **options)


def test_the_same_items_in_another_order_are_served_as_before(env: BatchVecEnv) -> None:
    """What is learned of users says nothing of where an item stands in a catalogue."""
    items, order = ItemTable.of(env), np.random.default_rng(0).permutation(1000)
    moved = ItemTable(items.features[order], items.average[order], items.worth[order])
    trained, other = learner(env, items), learner(env, moved)
    trained.learn(24)
    with torch.no_grad():  # what was learned of single items does not come along
        trained.policy.network.item_own.zero_()
        trained.policy.network.interest.own.zero_()
        trained.policy.network.item_bias.copy_(other.policy.network.item_bias[np.argsort(order)])
    transfer(trained.policy.network, other.policy.network)
    place = torch.as_tensor(np.argsort(order))  # of each item in the other catalogue
    obs = {name: torch.as_tensor(np.asarray(part)) for name, part in env.reset().items()}
    parts = [obs["slates"].long(), obs["feedback"], torch.zeros(4, 4).long(), torch.zeros(4, 4, 4)]
    with torch.no_grad():
        ours = trained.policy.network(*parts).scores
        theirs = other.policy.network(place[parts[0]], *parts[1:]).scores
    torch.testing.assert_close(theirs[..., place], ours, atol=1e-4, rtol=1e-4)
    assert ours.std() > 0.1


def test_what_was_learned_of_single_items_stays_behind(env: BatchVecEnv) -> None:
    items = ItemTable.of(env)
    half = ItemTable(items.features[:500], items.average[:500], items.worth[:500])
    trained, other = learner(env, items), learner(env, half)
    before = {name: part.clone() for name, part in other.policy.network.state_dict().items()}
    trained.learn(24)
    transfer(trained.policy.network, other.policy.network)
    learned = trained.policy.network.state_dict()
    for name, part in other.policy.network.state_dict().items():
        expected = before[name] if name in OF_ITEMS else learned[name]
        assert torch.equal(part, expected), name


def test_networks_of_another_shape_are_refused(env: BatchVecEnv) -> None:
    items = ItemTable.of(env)
    source = learner(env, items).policy.network
    with pytest.raises(ValueError, match=r"have the shape of source, token\.weight is"):
        transfer(source, learner(env, items, hidden=8).policy.network)
    other = make_learner("gru", "ppo", env, seed=1, hidden=16).policy.network
    with pytest.raises(ValueError, match="target must be a InterestNetwork as source is"):
        transfer(source, other)
    with pytest.raises(ValueError, match="items must be log or catalogue beside text"):
        learner(env, items, text="minilm")


def test_nothing_is_learned_of_single_items_where_that_is_asked(env: BatchVecEnv) -> None:
    items = ItemTable.of(env)
    networks = {}
    for per_item in (True, False):
        made = learner(env, items, per_item=per_item)
        bias, token = (part.clone() for part in (made.policy.network.item_bias, _token(made)))
        made.learn(48)
        network = made.policy.network
        networks[per_item] = bool(network.item_own.any()), not torch.equal(network.item_bias, bias)
        assert not torch.equal(_token(made), token)
    assert networks == {True: (True, True), False: (False, False)}
    with pytest.raises(ValueError, match="per_item must be True with the head id-softmax"):
        learner(env, items, per_item=False, head="id-softmax", vectors=1)


def _token(made) -> torch.Tensor:
    return made.policy.network.token.weight.detach()
