"""Slate heads: what each draws, and that it says how likely that was; tests run over ``HEADS``."""

from __future__ import annotations

from itertools import permutations, product

import gymnasium as gym
import numpy as np
import pytest
import torch

import driftrec.envs  # noqa: F401
from driftrec.agents.heads import HEADS, DiversePlackettLuce, IdSoftmax, ProtoAction
from driftrec.agents.learners import make_learner
from driftrec.agents.network import NetworkConfig
from driftrec.agents.occasion import Occasion
from driftrec.agents.output import Output
from driftrec.agents.policy import InterestAttentionPolicy
from driftrec.agents.reading import Interest
from driftrec.agents.transformer import AttentionConfig
from driftrec.envs.sb3 import BatchVecEnv

SMALL = {"slate_size": 4, "history": 8, "horizon": 12, "diagnostics": False}
ONE = {name: {"head": name, "vectors": 1, "hidden": 16} for name in HEADS}


def batch_env(num_envs=6):
    env = gym.make_vec("driftrec/DriftingInterest-v0", num_envs=num_envs, **SMALL)
    return BatchVecEnv(env)


def output(batch=5, items=12, size=3, available=None):
    generator = torch.Generator().manual_seed(0)
    query, embedding = (
        torch.randn(*shape, generator=generator) for shape in ((batch, 1, 1, size), (items, size))
    )
    embedding = torch.nn.functional.normalize(embedding, dim=1)
    flat = torch.zeros(batch, 1)
    return Output(
        query,
        weight=flat[..., None],
        value=flat,
        interest=Interest(
            flat[..., None, None], flat[..., None, None], flat, Occasion.of_strangers(batch, 4)
        ),
        embedding=embedding,
        bias=torch.linspace(-1, 1, items),
        sharpness=torch.ones(()),
        log_worth=torch.zeros(items),
        features=embedding,
        available=available,
    )


@pytest.fixture(params=HEADS)
def head(request):
    torch.manual_seed(1)  # not the seed of ``output``: its noise would be the query
    made = HEADS[request.param](3)
    made.prepare(output().embedding, 0.7, 1.0)
    return made


def test_a_draw_comes_with_its_own_probability(head):
    said = output()
    draw = head.draw(said, 4)
    assert draw.slates.shape == (5, 4)
    again = head.log_probability(said, draw.slates[:, None], draw.proto[:, None])
    assert again.shape == (5, 1, 1 if head.whole else 4)
    torch.testing.assert_close(again[:, 0], draw.log_probability)


def test_sharper_odds_are_closer_to_the_best_items(head):
    said = output(batch=2000)
    best = said.scores[:, 0].argmax(1)
    hits = [
        (head.draw(said, 1, torch.full((2000, 1), sharp)).slates[:, 0] == best).float().mean()
        for sharp in (0.3, 1.0, 30.0)
    ]
    assert hits[0] < hits[1] < hits[2]
    assert hits[2] > 0.85


def test_what_is_not_to_be_had_is_not_drawn(head):
    available = torch.zeros(500, 1, 12, dtype=torch.bool)
    available[..., 3:9] = True
    slates = head.draw(output(batch=500, available=available), 4).slates
    assert slates.min() >= 3 and slates.max() < 9


@pytest.mark.parametrize("scale", [1.0, 12.0])
def test_a_kind_loses_odds_with_each_of_it_above(scale):
    said, head = output(batch=1, items=6), DiversePlackettLuce(3)
    said.query = said.query * scale
    head.prepare(said.embedding, 0.7, 1.0)
    kind, slates = said.embedding.argmax(1), torch.tensor(list(permutations(range(6), 4)))
    none = torch.zeros(0)
    log_prob = torch.stack([head.log_probability(said, s[None, None], none)[0, 0] for s in slates])
    assert log_prob.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-4)
    slate = slates[100]
    for slot in range(4):
        odds = said.scores[0, 0].clone()
        for above in slate[:slot]:
            odds[kind == kind[above]] -= 0.7
        odds[slate[:slot]] = -torch.inf
        by_hand = odds.log_softmax(0)[slate[slot]]
        torch.testing.assert_close(log_prob[100, slot], by_hand, atol=1e-4, rtol=1e-4)


def test_slots_of_ids_are_independent():
    said, head = output(batch=1, items=3), IdSoftmax(3)
    pairs = torch.tensor(list(product(range(3), repeat=2)))
    share = said.scores[0, 0].softmax(0)
    mass = [head.log_probability(said, p[None, None], torch.zeros(0)).sum().exp() for p in pairs]
    np.testing.assert_allclose(mass, torch.outer(share, share).flatten(), atol=1e-6)
    many = output(batch=1, items=3)
    many.query = many.query.expand(20_000, 1, 1, 3)
    drawn = head.draw(many, 2).slates
    assert (drawn[:, 0] == drawn[:, 1]).float().mean() == pytest.approx(
        float(share.square().sum()), abs=0.02
    )


def test_a_proto_action_shows_the_items_nearest_to_it():
    head = ProtoAction(3)
    head.log_std.data = torch.tensor([0.0, -1.0, 0.5])
    said = output()
    draw = head.draw(said, 4)
    near = draw.proto @ said.embedding.T + said.bias
    assert torch.equal(draw.slates, near.topk(4).indices)
    std = head.log_std.exp()
    z = (draw.proto - said.query[:, 0, 0]) / std
    by_hand = (-(z**2) / 2 - std.log() - np.log(2 * np.pi) / 2).sum(1)
    torch.testing.assert_close(draw.log_probability[:, 0], by_hand)
    expected = (std.log() + 0.5 * np.log(2 * np.pi * np.e)).sum().item()
    np.testing.assert_allclose(head.entropy(said).detach(), np.full((5, 1), expected), rtol=1e-6)


def test_ids_know_nothing_of_features():
    network = make_learner("gru", "ppo", batch_env(), seed=0, **ONE["id-softmax"]).policy.network
    parts = (
        torch.randint(1000, (2, 9, 4)),
        torch.rand(2, 9, 4),
        torch.zeros(2, 9, dtype=torch.long),
        torch.zeros(2, 9, 4),
    )
    with torch.no_grad():
        before = network(*parts).scores
        network.features = torch.randn_like(network.features)
        assert torch.equal(network(*parts).scores, before)


@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
@pytest.mark.parametrize("name", [name for name in HEADS if name != "plackett-luce"])
def test_every_head_trains_and_survives_a_save(name, algo, check_saved):
    env = batch_env(8)
    options = {"pretrain_steps": 96, "privileged": True, "episode_batch": 4}
    learner = make_learner("gru", algo, env, seed=1, **options, **ONE[name])
    before = {k: v.clone() for k, v in learner.policy.state_dict().items()}
    learner.learn(4 * 96)
    after = learner.policy.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {k.removeprefix("network.") for k, v in after.items() if not torch.equal(v, before[k])}
    assert {"vector.weight", "item_own"} | ({"head.log_std"} if name == "proto" else set()) <= moved
    check_saved(learner, env)


def test_a_head_that_cannot_do_what_is_asked_is_refused():
    with pytest.raises(ValueError, match=r"head must be one of expected-reward, .*got 'softmax'"):
        NetworkConfig(head="softmax")
    with pytest.raises(ValueError, match="vectors must be 1 with the head proto, got 6"):
        NetworkConfig(head="proto")
    with pytest.raises(ValueError, match="top_k_correction must be False with the head proto"):
        make_learner("gru", "reinforce", batch_env(2), top_k_correction=True, **ONE["proto"])
    env = batch_env(2)
    policy = InterestAttentionPolicy(
        env.observation_space,
        env.action_space,
        lambda _: 1e-3,
        network=AttentionConfig(**ONE["proto"]),
    )
    observation = {k: torch.as_tensor(v) for k, v in env.reset().items()}
    with pytest.raises(ValueError, match="head must draw slates themselves, got proto"):
        policy(observation)


@pytest.mark.parametrize("masked", [False, True])
def test_the_sum_over_all_items_and_its_gradients_are_those_of_the_scores(masked):
    available = None
    if masked:
        available = torch.rand(5, 1, 12, generator=torch.Generator().manual_seed(3)) > 0.3
    said = output(available=available)
    generator = torch.Generator().manual_seed(1)
    parts = {
        "query": torch.randn(5, 1, 4, 3, generator=generator),
        "weight": torch.randn(5, 1, 4, generator=generator),
        "embedding": said.embedding,
        "bias": said.bias,
    }
    for name, part in parts.items():
        setattr(said, name, part.requires_grad_())
    pull = torch.randn(5, 1, generator=generator)
    plain = said.scores.logsumexp(-1)
    assert torch.allclose(said.log_total(), plain, atol=1e-5)
    ours, theirs = (
        torch.autograd.grad((total * pull).sum(), list(parts.values()), retain_graph=True)
        for total in (said.log_total(), plain)
    )
    for name, mine, right in zip(parts, ours, theirs, strict=True):
        assert torch.allclose(mine, right, atol=1e-5), name
