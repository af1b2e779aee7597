"""The learned agents: memory, network, slate policy, and learning itself."""

from __future__ import annotations

from itertools import permutations

import gymnasium as gym
import numpy as np
import pytest
import torch

import driftrec.envs  # noqa: F401
from driftrec.agents.credit import discounted, slot_advantage
from driftrec.agents.interest import DeltaMemory, _Scan
from driftrec.agents.learners import make_learner
from driftrec.agents.losses import (
    choice_loss,
    click_loss,
    clipped_surrogate,
    fit_choice,
    score_function,
    teacher_loss,
    top_k_score_function,
)
from driftrec.agents.slate import entropy, log_probability, sample_slate
from driftrec.agents.tape import Episodes
from driftrec.envs.sb3 import BatchVecEnv

SMALL = {"slate_size": 4, "history": 8, "horizon": 12, "diagnostics": False}


def batch_env(num_envs=6, **options):
    env = gym.make_vec("driftrec/DriftingInterest-v0", num_envs=num_envs, **(SMALL | options))
    return BatchVecEnv(env)


@pytest.fixture(scope="module")
def learner():
    return make_learner("interest-attention", "ppo", batch_env(), seed=0, hidden=16)


# --- memory -------------------------------------------------------------------------------------


def test_the_memory_gradient_is_the_numerical_one():
    torch.manual_seed(0)
    shapes = [(2, 3, 5), (2, 4, 3, 5), (2, 4, 3), (2, 4, 3), (3,), (3,), (3,)]
    parts = [torch.randn(s, dtype=torch.double) * 0.5 for s in shapes]
    parts[3], parts[6] = parts[3].abs(), parts[6].abs()
    assert torch.autograd.gradcheck(_Scan.apply, [p.requires_grad_() for p in parts])


def test_the_memory_learns_to_predict_the_feedback():
    memory = DeltaMemory(8, half_lives=(1000.0,))
    torch.manual_seed(0)
    taste = torch.randn(1, 8)
    shown = torch.nn.functional.normalize(torch.randn(1, 400, 3, 8), dim=-1)
    target = (shown @ taste[0]) * 0.5
    learned, _ = memory(memory.keep.new_zeros(1, 1, 8), shown, target, torch.ones(1, 400, 3))
    torch.testing.assert_close(learned[0, -1, 0], taste[0] * 0.5, atol=0.05, rtol=0)


def test_a_surprise_opens_the_forget_gate():
    memory = DeltaMemory(4, half_lives=(50.0,))
    memory.alarm.data.fill_(-5.0)
    before = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    shown = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])
    calm, _ = memory(before, shown, torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    shaken, _ = memory(before, shown, torch.ones(1, 1, 1), torch.ones(1, 1, 1))
    assert shaken[0, 0, 0, 0] < calm[0, 0, 0, 0] - 0.01


# --- slate policy -------------------------------------------------------------------------------


def test_slate_probabilities_sum_to_one():
    scores = torch.tensor([0.3, -1.0, 2.0, 0.5])
    total = scores.logsumexp(0)
    mass = sum(
        log_probability(scores[list(s)], total).sum().exp() for s in permutations(range(4), 3)
    )
    assert float(mass) == pytest.approx(1, abs=1e-5)


def test_slates_are_drawn_as_often_as_their_probability_says():
    scores = torch.tensor([0.0, 1.0, 2.0])
    draws = sample_slate(scores.expand(40_000, 3), 2, torch.Generator().manual_seed(0))
    for slate in permutations(range(3), 2):
        share = (draws == torch.tensor(slate)).all(1).float().mean()
        expected = log_probability(scores[list(slate)], scores.logsumexp(0)).sum().exp()
        assert float(share) == pytest.approx(float(expected), abs=0.01)


def test_entropy_of_equal_scores_is_the_log_of_their_number():
    assert float(entropy(torch.zeros(8))) == pytest.approx(np.log(8), abs=1e-5)


# --- losses -------------------------------------------------------------------------------------


def test_choice_loss_by_hand():
    shown, feedback = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.5, 0.0]]])
    loss = choice_loss(shown, feedback, torch.zeros(3), torch.ones(1, 1))
    expected = -np.log(np.e / (np.e + 1 + 1))
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_each_of_several_taken_is_a_choice_of_its_own():
    shown, feedback = torch.tensor([[[1.0, 0.0, -1.0]]]), torch.tensor([[[1.0, 0.0, 0.5]]])
    loss = choice_loss(shown, feedback, torch.zeros(3), torch.ones(1, 1))
    total = np.log(np.e + 1 + 1 / np.e + 1)
    expected = (1.5 * (total - 1) + 1.0 * (total + 1)) / 2.5
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_click_loss_by_hand():
    shown, feedback = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.5, 0.0]]])
    loss = click_loss(shown, feedback, torch.tensor([0.0, -0.3, 0.2]), torch.ones(1, 1))
    taken, untaken = 1 - 0.2, 0 - 0.3 - 0.2
    expected = (np.log1p(np.exp(-taken)) + np.log1p(np.exp(untaken))) / 2
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_how_users_choose_is_found_from_what_they_took():
    """Of users who choose by a law that is known, with scores ten times too large."""
    generator = torch.Generator().manual_seed(0)
    utility = torch.randn(400, 50, 4, generator=generator)
    law = utility - 0.5 * torch.arange(4), torch.full((400, 50, 1), 1.5)
    share = torch.cat(law, 2).softmax(2)
    taken = share.view(-1, 5).multinomial(1, generator=generator).view(400, 50)
    feedback = torch.nn.functional.one_hot(taken, 5)[..., :4] * 0.5  # weighs as much as nothing
    found = fit_choice(10 * utility, feedback, torch.zeros(3), torch.ones(400, 50))
    torch.testing.assert_close(
        found, torch.tensor([np.log(10), -0.5, 1.5]).float(), atol=0.05, rtol=0
    )


def test_teacher_loss_is_least_where_the_policy_agrees():
    share = torch.tensor([[[0.7, 0.3]]])
    agreeing = share.log()
    loss = teacher_loss(agreeing, share, torch.ones(1, 1))
    entropy_of_share = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    assert float(loss) == pytest.approx(entropy_of_share, abs=1e-5)
    off = torch.full((1, 1, 2), 0.5).log()
    assert teacher_loss(off, share, torch.ones(1, 1)) > loss


def test_the_surrogate_is_clipped():
    old, advantage = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    far = torch.full((1, 1, 1), 1.0)
    assert float(clipped_surrogate(far, old, advantage, 0.2, torch.ones(1, 1))) == pytest.approx(
        -1.2
    )


def test_the_score_function_weighs_log_probabilities():
    log_prob = torch.tensor([[[-1.0, -2.0]]])
    advantage = torch.tensor([[[2.0, 1.0]]])
    assert float(score_function(log_prob, advantage, torch.ones(1, 1))) == pytest.approx(2.0)


def test_the_top_k_correction_by_hand():
    share = torch.tensor([[[0.25, 0.9, 0.5]]]).log().requires_grad_()
    ratio = torch.tensor([[[3.0, 1.0, 0.5]]])
    advantage = torch.tensor([[[2.0, 1.0, -1.0]]])
    loss = top_k_score_function(share, ratio.log(), advantage, 2.0, torch.ones(1, 1))
    loss.backward()
    # min(rho, c) K (1 - pi)^(K - 1) A, with K = 3 and c = 2
    weight = [2 * 3 * 0.75**2 * 2, 1 * 3 * 0.1**2 * 1, 0.5 * 3 * 0.5**2 * -1]
    np.testing.assert_allclose(share.grad[0, 0], -np.array(weight) / 3, rtol=1e-4)
    expected = -np.mean(np.array(weight) * np.log([0.25, 0.9, 0.5]))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_with_one_slot_and_its_own_slates_nothing_is_corrected():
    log_prob, advantage = torch.tensor([[[-0.3]]]), torch.tensor([[[2.0]]])
    corrected = top_k_score_function(
        log_prob, torch.zeros(1, 1, 1), advantage, 10.0, torch.ones(1, 1)
    )
    assert corrected == score_function(log_prob, advantage, torch.ones(1, 1))


def test_reinforce_corrects_when_it_is_told_to():
    weights = []
    for options in ({}, {"top_k_correction": True}, {"top_k_correction": True, "ratio_cap": 1.0}):
        env = batch_env(8)
        learner = make_learner(
            "gru", "reinforce", env, seed=1, hidden=16, episode_batch=4, **options
        )
        env.seed(1)
        learner.learn(96)
        weights.append(torch.cat([p.detach().flatten() for p in learner.policy.parameters()]))
        assert weights[-1].isfinite().all()
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])  # the second batch is no longer the policy's own
    with pytest.raises(ValueError, match=r"ratio_cap must be at least 1, got 0\.5"):
        make_learner("gru", "reinforce", batch_env(2), ratio_cap=0.5)


def hand_made(left: bool) -> Episodes:
    value = torch.tensor([[0.0, 0.0, 0.0 if left else 4.0]])
    empty = torch.zeros(1, 3, 2)
    return Episodes(
        slates=empty.long(),
        feedback=empty,
        request=torch.zeros(1, 3, dtype=torch.long),
        time=torch.zeros(1, 3, 4),
        reward=torch.tensor([[1.0, 2.0]]),
        slot_reward=torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]),
        alive=torch.ones(1, 2),
        log_probability=torch.zeros(1, 2, 2),
        value=value,
        proto=torch.zeros(1, 2, 0),
    )


def test_a_time_limit_is_bootstrapped_and_leaving_is_not():
    _, cut = discounted(hand_made(left=False), gamma=0.5, gae_lambda=1.0, scale=1.0)
    _, left = discounted(hand_made(left=True), gamma=0.5, gae_lambda=1.0, scale=1.0)
    assert cut.tolist() == [[1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4]]
    assert left.tolist() == [[1 + 0.5 * 2, 2.0]]


def test_a_slot_is_credited_for_what_came_from_it():
    episodes = hand_made(left=True)
    advantage, _ = discounted(episodes, gamma=0.0, gae_lambda=1.0, scale=1.0)
    credit = slot_advantage(episodes, advantage, scale=1.0)
    assert (credit[0, 0, 0] > credit[0, 0, 1]).item()
    assert (credit[0, 1, 1] > credit[0, 1, 0]).item()


# --- learning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
@pytest.mark.parametrize("privileged", [True, False])
def test_training_changes_the_policy_and_survives_a_save(algo, privileged, check_saved):
    env = batch_env(8)
    options = {"pretrain_steps": 96, "privileged": privileged, "hidden": 16, "episode_batch": 4}
    learner = make_learner("interest-attention", algo, env, seed=1, **options)
    before = {k: v.clone() for k, v in learner.policy.state_dict().items()}
    learner.learn(3 * 96)
    moved = [k for k, v in learner.policy.state_dict().items() if not torch.equal(v, before[k])]
    assert any("adjuster.gain" in k for k in moved)
    assert any("backbone" in k for k in moved)
    check_saved(learner, env)


def test_the_same_seed_trains_the_same_network():
    weights = []
    for _ in range(2):
        env = batch_env(4)
        learner = make_learner("attention", "ppo", env, seed=5, hidden=16)
        env.seed(5)
        learner.learn(96)
        weights.append(torch.cat([p.detach().flatten() for p in learner.policy.parameters()]))
    assert torch.equal(*weights)


@pytest.mark.parametrize(("agent", "algo"), [("interest", "ppo"), ("attention", "sarsa")])
def test_unknown_names_are_refused_with_the_known_ones(agent, algo):
    with pytest.raises(ValueError, match="must be one of"):
        make_learner(agent, algo, batch_env(2))


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5])
def test_feedback_that_is_none_is_refused(learner, bad):
    observation = batch_env(2).reset()
    observation["feedback"][0, 0, 0] = bad
    with pytest.raises(ValueError, match="feedback must lie in"):
        learner.policy.predict(observation)


def test_a_time_that_is_none_is_refused(learner):
    observation = batch_env(2).reset()
    observation["time"][0] = np.nan
    with pytest.raises(ValueError, match="time must be finite, got NaN"):
        learner.policy.predict(observation)


def test_slates_of_another_length_are_refused(learner):
    observation = batch_env(2).reset()
    observation["slates"] = observation["slates"][..., :3]
    with pytest.raises(ValueError, match="slates must have 4 slots"):
        learner.policy.predict(observation)


def test_pretraining_on_clicks_begins_where_the_mean_click_is_right():
    env = batch_env(8)
    learner = make_learner("gru", "ppo", env, seed=0, hidden=16, several=True, pretrain_steps=96)
    seen = {}
    learner._pretrain_update = lambda batch, target, rate: seen.update(batch=batch) or (0.0, 0.0)
    learner.learn(96)
    batch, (log_tau, slope, outside) = seen["batch"], learner.policy.network.choice.detach()
    slates = batch.slates[:, -batch.steps :]
    with torch.no_grad():
        odds = learner.utility(learner.read(batch), slates) * torch.exp(-log_tau) - outside
    chance = torch.sigmoid(odds + slope * torch.arange(4))
    clicks = (batch.feedback[:, -batch.steps :] > 0).float()
    assert chance.mean().item() == pytest.approx(clicks.mean().item(), abs=0.02)
