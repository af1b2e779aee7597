"""Facts about the dynamic interest: the chain of passing interests, and its fit on a log."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from driftrec.agents.chain import InterestChain
from driftrec.agents.learners import make_learner
from driftrec.agents.logfit import fit_interest
from driftrec.agents.optimizer import MuonAdamW
from driftrec.agents.platform import Platform
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.worlds import make_batch


def chain(items=6, size=3, count=4):
    torch.manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(items, size), dim=1)
    made = InterestChain(features, count)
    with torch.no_grad():
        made.change += 0.1 * torch.randn(count, count)
        made.prior += 0.1 * torch.randn(count)
    return made, features


def choices(features, steps=7, slots=3):
    """Slates with one item taken, or none every third time."""
    generator = torch.Generator().manual_seed(1)
    slates = torch.stack([torch.randperm(len(features), generator=generator) for _ in range(steps)])
    slates = slates[None, :, :slots]
    taken = torch.zeros(slates.shape)
    for step in range(steps):
        if step % 3:
            taken[0, step, step % slots] = 1
    return features[slates], torch.linspace(-1, 1, slots).expand(taken.shape), taken


def test_the_chain_believes_what_a_forward_pass_in_loops_says():
    made, features = chain()
    embedding, utility, taken = choices(features)
    likelihood = made.likelihood(embedding, utility, taken)
    beliefs, evidence = made(made.empty(1), likelihood)

    change = (10 * made.change.detach()).softmax(1).double().numpy()
    change = 0.999 * change + 0.001 / 4
    belief = (10 * made.prior.detach()).softmax(0).double().numpy()
    gain = made.log_gain.exp().item()
    for step in range(7):
        odds = np.empty((4, 4))  # [interest, slot or nothing]
        for c, prototype in enumerate(made.prototypes.detach()):
            for k in range(3):
                lift = gain * float(prototype @ embedding[0, step, k])
                odds[c, k] = np.exp(lift + float(utility[0, step, k]) + k * made.position.item())
            odds[c, 3] = np.exp(made.outside.item())
        chosen = int(taken[0, step].argmax()) if taken[0, step].any() else 3
        joint = belief * odds[:, chosen] / odds.sum(1)
        assert evidence[0, step].item() == pytest.approx(np.log(joint.sum()), abs=1e-4)
        belief = joint / joint.sum() @ change
        np.testing.assert_allclose(beliefs[0, step].detach().numpy(), belief, atol=1e-5)


def test_all_that_can_be_chosen_from_a_slate_has_probability_one():
    made, features = chain()
    embedding, utility, _ = choices(features, steps=1)
    options = torch.cat((torch.eye(3), torch.zeros(1, 3)))[:, None]
    likelihood = made.likelihood(
        embedding.expand(4, -1, -1, -1), utility.expand(4, -1, -1), options
    )
    torch.testing.assert_close(likelihood.exp().sum(0), torch.ones(1, 4))


def test_an_empty_slate_tells_the_chain_nothing():
    made, _ = chain()
    nothing = torch.zeros(1, 1, 3)
    likelihood = made.likelihood(torch.zeros(1, 1, 3, 3), nothing - 1e4, nothing)
    torch.testing.assert_close(likelihood, torch.zeros(1, 1, 4))


@pytest.fixture(scope="module")
def users():
    return BatchVecEnv(make_batch("driftrec/DriftingInterest-v0", 4, {}))


def test_fitting_on_a_log_foretells_choices_of_other_users(users):
    log, network = Platform.of(users).log, make_learner("gru", "ppo", users).policy.network
    others = torch.as_tensor(log.slates[-200:]).long(), torch.as_tensor(log.feedback[-200:])

    def surprise():
        with torch.no_grad():
            return -network.evidence(*others).mean().item()

    before = surprise()
    generator = np.random.default_rng(0)
    losses = fit_interest(network, log.slates[:640], log.feedback[:640], 2, generator)
    assert len(losses) == 20
    assert surprise() < before - 0.1


def test_no_pass_over_the_log_leaves_a_network_as_it_is(users):
    log, network = Platform.of(users).log, make_learner("gru", "ppo", users).policy.network
    before = {name: part.clone() for name, part in network.state_dict().items()}
    assert fit_interest(network, log.slates, log.feedback, 0, np.random.default_rng(0)) == []
    for name, part in network.state_dict().items():
        assert torch.equal(part, before[name]), name


def test_the_optimiser_goes_on_from_its_saved_state():
    def make():
        torch.manual_seed(0)
        layer = torch.nn.Linear(20, 30)
        return layer, MuonAdamW(layer.parameters(), lr=1e-2)

    def descend(layer, optimizer):
        optimizer.zero_grad()
        layer(torch.ones(1, 20)).square().sum().backward()
        optimizer.step()

    (layer, optimizer), (other, later) = make(), make()
    descend(layer, optimizer)
    other.load_state_dict(layer.state_dict())
    later.load_state_dict(deepcopy(optimizer.state_dict()))
    descend(layer, optimizer)
    descend(other, later)
    assert torch.equal(layer.weight, other.weight) and torch.equal(layer.bias, other.bias)
    assert not torch.equal(layer.weight, make()[0].weight)
