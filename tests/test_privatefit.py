"""Facts about fitting the interest so that no single user shows in what was learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from driftrec.agents import privatefit
from driftrec.agents.guarantee import Guarantee, PrivateFitConfig, plan_guarantee
from driftrec.agents.learners import make_learner
from driftrec.agents.platform import Platform
from driftrec.agents.privatefit import clipped_sum, fit_interest_privately, read_popularity
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.worlds import make_batch

pytest.importorskip("opacus")


@pytest.fixture(scope="module")
def users():
    return BatchVecEnv(
        make_batch("driftrec/DriftingInterest-v0", 4, {"history": 20, "horizon": 10})
    )


@pytest.fixture
def network(users):
    return make_learner("gru", "ppo", users).policy.network


@pytest.fixture(scope="module")
def log(users):
    log = Platform.of(users).log
    return log.slates, log.feedback


def flat(parts) -> torch.Tensor:
    return torch.cat([part.flatten() for part in parts])


def test_no_user_moves_the_sum_further_than_the_clip(network, log):
    fitted = list(network.interest.parameters())
    slates, feedback = log[0][:6], log[1][:6]
    whole = flat(clipped_sum(network, slates, feedback, fitted, 1e9))
    shown, graded = torch.as_tensor(slates).long(), torch.as_tensor(feedback)
    loss = -6 * network.evidence(shown, graded)[:, 5:].mean()
    parts = torch.autograd.grad(loss, fitted, allow_unused=True)
    whole_batch = flat(
        [p.new_zeros(p.shape) if g is None else g for p, g in zip(fitted, parts, strict=True)]
    )
    torch.testing.assert_close(whole, whole_batch, atol=1e-5, rtol=1e-4)
    total = flat(clipped_sum(network, slates, feedback, fitted, 0.05))
    for user in range(6):
        others = np.arange(6) != user
        without = flat(clipped_sum(network, slates[others], feedback[others], fitted, 0.05))
        assert float((total - without).norm()) == pytest.approx(0.05, rel=1e-3)
    long = flat(clipped_sum(network, slates[:1], feedback[:1], fitted, 1e9))
    torch.testing.assert_close(
        flat(clipped_sum(network, slates[:1], feedback[:1], fitted, 0.05)),
        long * 0.05 / long.norm(),
    )


def test_epsilon_is_that_of_the_gaussian_mechanism():
    # Everyone in every step: T releases of sensitivity 1 are one of sqrt(T), whose least epsilon
    # has a closed form (Balle & Wang, 2018); Renyi's bound lies above it, and not far.
    plan = plan_guarantee(100, PrivateFitConfig(3.0, 1e-5, passes=4, batch=100, popular=0.0))
    assert (plan.sample_rate, plan.steps, plan.users) == (1.0, 4, 100)
    mu = math.sqrt(plan.steps) / plan.noise

    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    def delta(epsilon):
        high, low = phi(mu / 2 - epsilon / mu), phi(-mu / 2 - epsilon / mu)
        return high - math.exp(epsilon) * low

    assert 2.9 < plan.epsilon <= 3.0
    assert delta(plan.epsilon) <= 1e-5 < delta(0.8 * plan.epsilon)


def test_more_privacy_or_fewer_users_takes_more_noise():
    def noise(users, epsilon, **more):
        return plan_guarantee(users, PrivateFitConfig(epsilon, **more)).noise

    usual = noise(10_000, 4.0)
    assert noise(10_000, 1.0) > usual > noise(10_000, 16.0)
    assert noise(2_000, 4.0) > usual
    assert noise(10_000, 4.0, passes=40) > usual
    assert plan_guarantee(10_000, PrivateFitConfig(4.0)).delta == 1e-5
    with pytest.raises(ValueError, match=r"epsilon must be larger, got 0\.001"):
        plan_guarantee(50, PrivateFitConfig(0.001))


def test_popularity_and_steps_together_keep_to_the_epsilon():
    config = PrivateFitConfig(3.0, 1e-5, passes=4, batch=100)
    plan, steps = plan_guarantee(100, config), plan_guarantee(100, config, popularity=False)
    # Both are Gaussian mechanisms over everyone: one of sensitivity sqrt(sum of 1 / noise^2).
    noise = (plan.steps / plan.noise**2 + 1 / plan.popularity_noise**2) ** -0.5
    assert noise == pytest.approx(steps.noise / math.sqrt(steps.steps), rel=0.01)
    assert plan.epsilon <= 3.0 and plan.noise > steps.noise and steps.popularity_noise is None


def test_no_user_moves_popularity_further_than_the_most(network, log):
    slates, feedback = log[0][:300], log[1][:300]

    def found(rows, most):
        read_popularity(network, slates[rows], feedback[rows], most, 0.0, torch.Generator())
        return network.average.double() * slates[rows].size / 1000

    everyone, others = np.arange(300), np.arange(1, 300)
    clicks = np.bincount(slates.ravel(), feedback.ravel(), minlength=1000)
    np.testing.assert_allclose(found(everyone, 1e9), clicks, rtol=1e-4, atol=1e-4)
    moved = found(everyone, 0.5) - found(others, 0.5)
    assert float(moved.norm()) == pytest.approx(0.5, rel=1e-3)
    hidden = torch.Generator().manual_seed(0)  # of noise that hides all differences nothing is made
    read_popularity(network, slates, feedback, 4.0, 300.0, hidden)
    assert float(network.average.std()) < 1e-6


def test_the_noise_is_as_large_as_the_guarantee_says(network, log, monkeypatch):
    seen = []

    class Watch(torch.optim.SGD):
        def step(self):
            seen.append(flat([p.grad for group in self.param_groups for p in group["params"]]))

    monkeypatch.setattr(torch.optim, "Adam", Watch)
    nothing = np.full_like(log[0][:40], -1)
    config = PrivateFitConfig(2.0, 1e-5, passes=1, batch=10, clip=0.3, parts="interests")
    plan = fit_interest_privately(network, nothing, np.zeros_like(log[1][:40]), config, seed=0)
    assert len(seen) == plan.steps == 4
    gradients = torch.cat(seen)
    expected = plan.noise * 0.3 / 10
    assert float(gradients.std()) == pytest.approx(expected, rel=0.05)
    assert abs(float(gradients.mean())) < 5 * expected / math.sqrt(len(gradients))
    assert not torch.equal(seen[0], seen[1])
    again = fit_interest_privately(network, nothing, np.zeros_like(log[1][:40]), config)
    assert again == plan and not torch.equal(seen[4], seen[0])  # a seed that nobody knows


def test_where_it_begins_says_nothing_of_the_users(network, log, monkeypatch):
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)
    plan, config = Guarantee(2.0, 1e-5, 1.0, 0.5, 1, 20), PrivateFitConfig(2.0, parts="interests")
    monkeypatch.setattr(privatefit, "plan_guarantee", lambda *given: plan)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    begun = []
    for rows in (slice(0, 20), slice(20, 40)):
        network.load_state_dict(before)
        fit_interest_privately(network, log[0][rows], log[1][rows], config, seed=0)
        begun.append(network.interest.chain.lasting.detach().clone())
    assert torch.equal(begun[0], begun[1])
    # kinds of users that begin alike would learn alike
    assert float((begun[0] @ begun[0].T).fill_diagonal_(-1).max()) < 0.99


def test_with_little_noise_it_learns_what_users_choose(network, log):
    others = torch.as_tensor(log[0][-200:]).long(), torch.as_tensor(log[1][-200:])
    own = network.interest.own.clone()

    def surprise():
        with torch.no_grad():
            return -network.evidence(*others).mean().item()

    before = surprise()
    config = PrivateFitConfig(1e6, 1e-5, passes=3, batch=16, rate=0.02, parts="interests")
    assert fit_interest_privately(network, log[0][:96], log[1][:96], config, seed=0).steps == 18
    assert surprise() < before - 0.05
    assert torch.equal(network.interest.own, own)


@pytest.mark.parametrize("name", ["epsilon", "passes", "batch", "clip", "rate", "most"])
def test_an_impossible_setting_is_named(name):
    with pytest.raises(ValueError, match=f"{name} must be positive and finite, got 0"):
        PrivateFitConfig(**{"epsilon": 1.0} | {name: 0})
    with pytest.raises(ValueError, match=r"delta must be in \(0, 1\), got 1"):
        PrivateFitConfig(1.0, delta=1)
