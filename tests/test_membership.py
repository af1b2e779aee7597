"""Facts about who can be told from a fitted model: with noise nobody, without it everyone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from driftrec.agents.guarantee import PrivateFitConfig
from driftrec.agents.learners import make_learner
from driftrec.agents.logfit import UNREAD
from driftrec.agents.platform import Platform
from driftrec.agents.privatefit import fit_interest_privately
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.membership import area, attack, halves, likelihood_ratios, losses
from driftrec.experiments.worlds import make_batch

SMALL = {"slate_size": 4, "history": 8, "horizon": 8}
USERS, MODELS = 16, 6


def test_every_user_is_in_half_of_the_models():
    member = halves(6, 10, np.random.default_rng(0))
    assert (member.sum(1) == 5).all() and (member.sum(0) == 3).all()
    with pytest.raises(ValueError, match="must be even, got 5 and 10"):
        halves(5, 10, np.random.default_rng(0))


def test_the_area_is_the_share_of_pairs_in_order():
    member = np.array([[True, True, False, False]])
    assert area(np.array([[3.0, 1.0, 2.0, 0.0]]), member) == 0.75
    assert area(np.zeros((1, 4)), member) == 0.5


def test_the_ratio_finds_what_a_threshold_cannot_and_nothing_where_nothing_is():
    rng = np.random.default_rng(0)
    member = halves(8, 200, rng)
    own = rng.normal(0, 5, 200)  # some users are hard to foretell for any model
    leaking = own + rng.normal(0, 1, member.shape) - 1.5 * member
    assert attack(leaking, member)["threshold"].estimate < 0.62
    assert attack(leaking, member)["ratio"].low > 0.75
    tight = own + rng.normal(0, 1, member.shape)
    for interval in attack(tight, member).values():
        assert interval.low < 0.5 < interval.high
    # means of few shadows are as uncertain on either side: no lean to strangers or members
    means = [
        area(likelihood_ratios(rng.normal(size=member.shape), member), member) for _ in range(10)
    ]
    assert np.mean(means) == pytest.approx(0.5, abs=0.02)


@pytest.fixture(scope="module")
def told():
    """Area under the ROC by epsilon, of one fit that differs in its noise alone."""
    pytest.importorskip("opacus")
    env = BatchVecEnv(make_batch("driftrec/DriftingInterest-v0", 4, SMALL))
    options = {"seed": 1, "items": "catalogue", "lasting": 2, "passing": 4}
    network = make_learner("gru", "ppo", env, **options).policy.network
    log, start = Platform.of(env).log, copy.deepcopy(network.state_dict())
    slates, feedback = log.slates[:USERS], log.feedback[:USERS]
    member = halves(MODELS, USERS, np.random.default_rng(0))

    def after(config):
        def fit(rows):
            network.load_state_dict(start)
            fit_interest_privately(
                network, slates[rows], feedback[rows], config, seed=int(rows @ rows)
            )
            with torch.no_grad():
                read = torch.as_tensor(slates).long(), torch.as_tensor(feedback)
                return -network.evidence(*read)[:, UNREAD:].mean(1).double().numpy()

        return attack(losses(fit, member), member)

    shared = {"delta": 1e-3, "passes": 8, "batch": USERS // 2, "rate": 0.04, "parts": "items"}
    return {epsilon: after(PrivateFitConfig(epsilon, **shared)) for epsilon in (0.5, 1e6)}


def test_without_noise_members_are_told_from_strangers(told):
    assert told[1e6]["ratio"].low > 0.8
    assert told[1e6]["threshold"].low > 0.7


def test_with_noise_they_are_not(told):
    for interval in told[0.5].values():
        assert interval.low < 0.56 and interval.estimate < 0.65
