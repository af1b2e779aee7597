"""Whole episodes: what is learned from is what was played, and the environment is left as found."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import driftrec.envs  # noqa: F401
from driftrec.agents.learners import make_learner
from driftrec.agents.slate import UNAVAILABLE, log_probability
from driftrec.envs.sb3 import BatchVecEnv

SMALL = {"slate_size": 4, "history": 8, "horizon": 12, "diagnostics": False}


def news(num_envs=8, **options):
    """A world in which two items of three are not to be had at any one time."""
    return BatchVecEnv(gym.make_vec("driftrec/News-v0", num_envs=num_envs, **(SMALL | options)))


class Played(BaseCallback):
    """Keeps what ``what`` says of the learner, between playing and learning."""

    def __init__(self, what):
        super().__init__()
        self.what, self.kept = what, []

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        self.kept.append(self.what(self.model))


def shift(model):
    """Largest difference of a slot's log-probability to when it was drawn."""
    with torch.no_grad():
        now = model.log_probability(model.read(model.episodes), model.episodes)
    return float((now - model.episodes.log_probability).abs().max())


@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
@pytest.mark.parametrize(
    ("head", "most"), [("plackett-luce", 1e-5), ("id-softmax", 1e-5), ("expected-reward", 1e-3)]
)
def test_an_update_begins_from_the_probabilities_that_slates_were_drawn_with(algo, head, most):
    env = news()
    assert not env.reset()["available"].all()
    options = {"seed": 2, "hidden": 16, "head": head, "sharpness": 2.0}
    learner = make_learner("interest-attention", algo, env, **options)
    played = Played(shift)
    learner.learn(3 * 8 * SMALL["horizon"], callback=played)
    assert len(played.kept) == 3 and max(played.kept) < most, played.kept


def test_what_is_not_to_be_had_is_no_part_of_what_is_learned():
    env = news()
    learner = make_learner("gru", "ppo", env, seed=2, hidden=16)

    def share(model):
        output = model.read(model.episodes)
        assert output.available.shape == (8, 12, len(model.worth))
        odds = output.scores - output.log_total()[..., None]
        return odds.exp().mul(~output.available).sum(2).max().item(), odds.exp().sum(
            2
        ).mean().item()

    played = Played(share)
    learner.learn(96, callback=played)
    gone, all_items = played.kept[0]
    assert gone == 0 and all_items == pytest.approx(1, abs=1e-4)


def test_a_slot_that_nothing_was_left_for_counts_nothing():
    scores = torch.tensor([0.5, -0.5, UNAVAILABLE, UNAVAILABLE], requires_grad=True)
    chosen = log_probability(scores[[1, 0, 3]], scores.logsumexp(0))
    assert chosen[0].item() == pytest.approx(np.log(1 / (1 + np.e)), abs=1e-5)
    assert chosen[1].item() == pytest.approx(0, abs=1e-5) and chosen[2].item() == 0
    chosen.sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()


@pytest.mark.parametrize("steps", [100, 96, 1])
def test_what_was_played_for_pretraining_is_learned_from_by_pretraining(steps, monkeypatch):
    """Also by the rollout in which the steps of pretraining run out: its slates were for it."""
    done = []
    learner = make_learner("gru", "ppo", news(), seed=1, hidden=16, pretrain_steps=steps)
    monkeypatch.setattr(learner, "pretrain", lambda episodes: done.append("pretraining"))
    monkeypatch.setattr(learner, "learn_from", lambda episodes: done.append("reinforcement"))
    learner.learn(3 * 96)
    rollouts = -(-steps // 96)
    assert done == ["pretraining"] * rollouts + ["reinforcement"] * (3 - rollouts)


def test_logged_pretraining_begins_from_how_users_choose(monkeypatch):
    """Once, before the first gradient step: by it the scores as they are explain the log better."""
    learner = make_learner("gru", "ppo", news(), seed=1, hidden=16, pretrain_steps=192)
    choices, plain = [], learner._pretrain_update

    def update(batch, target, rate):
        choices.append(learner.policy.network.choice.detach().clone())
        return plain(batch, target, rate)

    monkeypatch.setattr(learner, "_pretrain_update", update)
    before = learner.policy.network.choice.detach().clone()
    learner.learn(192)
    assert (choices[0] - before).abs().max() > 0.5  # was fitted
    steps = [float((a - b).abs().max()) for a, b in zip(choices[1:], choices, strict=False)]
    assert max(steps) < 0.02  # and moves by gradient steps from there


# --- who leaves, and who stays --------------------------------------------------------------------


@pytest.mark.parametrize("privileged", [True, False])
def test_users_who_stay_are_learned_from_to_the_end(privileged, plain_domain):
    def present(leaving):
        domain = plain_domain(most=2.0)  # two slates that disappoint are enough
        env = BatchVecEnv(gym.make_vec(
            "driftrec/DriftingInterest-v0", num_envs=32, leaving=leaving, domain=domain, **SMALL
        ))  # fmt: skip
        options = {"pretrain_steps": 384, "privileged": privileged, "hidden": 16}
        learner = make_learner("gru", "reinforce", env, seed=1, **options)
        played = Played(lambda model: model.episodes.alive.mean().item())
        learner.learn(2 * 384, callback=played)
        assert env.get_attr("session")[0].leaving is leaving
        return played.kept

    assert present(leaving=False) == [1, 1]
    pretraining, after = present(leaving=True)
    assert after < 1 and (pretraining == 1) == privileged


@pytest.mark.parametrize("leaving", [True, False])
def test_an_interrupted_rollout_leaves_the_environment_as_it_was(leaving):
    class Press(BaseCallback):
        def _on_step(self):
            assert self.training_env.get_attr("session")[0].leaving is False  # a teacher is there
            raise KeyboardInterrupt

    env = news(leaving=leaving)
    learner = make_learner("gru", "ppo", env, pretrain_steps=96, privileged=True, hidden=16)
    with pytest.raises(KeyboardInterrupt):
        learner.learn(96, callback=Press())
    assert env.get_attr("session")[0].leaving is leaving


@pytest.mark.parametrize("agent", ["interest-attention", "static-attention"])
def test_the_law_of_the_interest_stays_as_fitted_unless_it_is_tuned(agent):
    moved = {}
    for tune in (False, True):
        learner = make_learner(agent, "ppo", news(), seed=2, hidden=16, tune_interest=tune)
        chain, memory = (
            learner.policy.network.interest.chain,
            learner.policy.network.interest.memory,
        )
        before = [p.clone() for p in (chain.passing, chain.change, memory.rate)]
        learner.learn(8 * SMALL["horizon"])
        after = (chain.passing, chain.change, memory.rate)
        moved[tune] = [not torch.equal(a, b) for a, b in zip(after, before, strict=True)]
    assert not any(moved[False]) and all(moved[True])


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_an_update_learns_from_some_of_the_requests_or_is_refused(share):
    with pytest.raises(ValueError, match="share must be in"):
        make_learner("gru", "ppo", news(), seed=2, hidden=16, share=share)


def test_updates_that_draw_requests_at_which_nobody_is_left_change_nothing_for_the_worse(
    plain_domain,
):
    env = BatchVecEnv(
        gym.make_vec(
            "driftrec/DriftingInterest-v0", num_envs=4, domain=plain_domain(most=1.0), **SMALL
        )
    )
    options = {"share": 0.1, "episode_batch": 1, "n_epochs": 4, "ent_coef": 1e-3, "hidden": 16}
    learner = make_learner("gru", "ppo", env, seed=1, **options)
    read = []
    plain = learner.read
    learner.read = lambda batch, only=None: read.append(len(only)) or plain(batch, only)
    learner.learn(3 * 4 * SMALL["horizon"])
    assert set(read) == {1}
    assert all(torch.isfinite(part).all() for part in learner.policy.parameters())


def test_what_follows_pretraining_has_the_learning_rate_to_itself():
    env = news()
    rollout, rates = 8 * SMALL["horizon"], []
    learner = make_learner(
        "gru", "reinforce", env, seed=2, hidden=16, pretrain_steps=4 * rollout, learning_rate=0.1
    )
    plain = learner.current_rate
    learner.current_rate = lambda: rates.append(plain()) or rates[-1]
    learner.learn(8 * rollout)
    assert rates == pytest.approx([0.1 * 0.5 * 0.75, 0.1 * 0.5, 0.1 * 0.25, 0.1 * 0.1])
