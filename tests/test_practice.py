import numpy as np
import pytest
import torch

from driftrec.agents import kept, practice
from driftrec.agents.kept import practise_once
from driftrec.agents.learners import load_learner, make_learner
from driftrec.agents.logfit import Behaviour
from driftrec.agents.platform import Platform
from driftrec.agents.practice import play_best, practise
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.worlds import make_batch

pytestmark = pytest.mark.usefixtures("one_thread")

USERS, STEPS = 64, 20
ENV = "driftrec/DriftingInterest-v0"


def learner(agent="interest-attention", strength=1.0, **options):
    env = make_batch(ENV, USERS, {"horizon": STEPS, "history": 10, "drift_strength": strength})
    users = BatchVecEnv(env)
    users.seed(5)
    shape = {"lasting": 4, "passing": 6, "pretrain_steps": 1, "log_users": 640, **options}
    return make_learner(agent, "ppo", users, seed=1, **shape)


def unlikely(policy, episodes):
    """Nats of an answer to the slates that were played."""
    with torch.no_grad():
        nats = -policy.network.evidence(episodes.slates, episodes.feedback)[:, -STEPS:]
    return float((nats * episodes.alive).sum() / episodes.alive.sum())


def test_practice_foresees_the_answers_to_its_own_slates_better():
    trained = learner()
    trained.fit_interest()
    policy, env, worth = trained.policy, trained.env, trained.worth
    held_out = play_best(policy, env, worth)
    before = unlikely(policy, held_out)
    earned = practise(policy, env, worth, 12, np.random.default_rng(0))
    assert len(earned) == 12
    assert unlikely(policy, held_out) < before - 0.02


def test_users_who_left_are_not_read():
    trained = learner()
    episodes = play_best(trained.policy, trained.env, trained.worth)
    assert (episodes.alive == 0).any()
    read = practice._read(episodes)
    assert read.shape == episodes.slates.shape[:2]
    assert (read[:, :5] == 0).all()
    assert torch.equal(read[:, -STEPS:], episodes.alive)


def test_what_is_played_is_what_the_policy_takes_for_best():
    trained, other = learner(), learner()
    episodes = play_best(trained.policy, trained.env, trained.worth)
    slates, _ = other.policy.predict(other.env.reset(), deterministic=True)
    assert np.array_equal(slates, episodes.slates[:, -STEPS].numpy())


def once(folder, **options):
    trained, generator = learner(**options), np.random.default_rng(3)
    earned = practise_once(trained.policy, trained.env, trained.worth, 2, generator, folder)
    return trained, earned, generator.random()


@pytest.mark.parametrize("agent", ["interest-attention", "attention", "gru", "mlp"])
def test_practice_is_found_again_whatever_network_is_on_it(tmp_path, monkeypatch, agent):
    first, earned, after = once(tmp_path)
    monkeypatch.setattr(kept, "practise", lambda *a: pytest.fail("practised twice"))
    again, found, then = once(tmp_path, agent=agent)
    assert (found, then) == (earned, after)
    for name, value in first.policy.network.interest.state_dict().items():
        assert torch.equal(value, again.policy.network.interest.state_dict()[name]), name
    assert torch.equal(first.policy.network.passing_pull, again.policy.network.passing_pull)
    for session in ("seeds", "episodes"):  # users come next whom it would have met next
        mine, theirs = (getattr(x.session, session) for x in (first, again))
        assert np.array_equal(mine, theirs)


def test_users_who_drift_otherwise_are_practised_on_anew(tmp_path):
    once(tmp_path)
    once(tmp_path, strength=2.0)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_training_practises_before_it_pretrains(monkeypatch, tmp_path):
    monkeypatch.setenv("DRIFTREC_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(
        "driftrec.agents.pretraining.practise_once", lambda *a, **k: asked.append(a[3]) or []
    )
    learner(practice_steps=USERS * STEPS * 3, pretrain_steps=USERS * STEPS).learn(USERS * STEPS)
    assert asked == [3]


def test_of_a_log_of_ones_own_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("DRIFTREC_CACHE", str(tmp_path))
    trained = learner(practice_steps=USERS * STEPS)
    log = Platform.of(trained.env).log
    trained.behaviour = Behaviour(log.slates[:64], log.feedback[:64])
    trained.fit_interest()
    trained.practise()
    assert not list(tmp_path.rglob("*.pt"))


def test_practice_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="practice_steps must be at least 0, got -1"):
        learner(practice_steps=-1)


def test_a_learner_that_was_saved_has_begun(monkeypatch, tmp_path):
    monkeypatch.setenv("DRIFTREC_CACHE", str(tmp_path / "cache"))
    trained = learner(pretrain_steps=USERS * STEPS)
    assert not trained.begun
    trained.learn(USERS * STEPS)
    trained.save(tmp_path / "model.zip")
    assert load_learner(tmp_path / "model.zip").begun


def test_practice_reads_off_what_a_grade_earns():
    env = make_batch("driftrec/Music-v0", USERS, {"horizon": STEPS, "history": 10})
    trained = make_learner(
        "gru", "ppo", BatchVecEnv(env), seed=1, hidden=16, lasting=4, passing=6, log_users=640
    )
    chain, head = trained.policy.network.interest.chain, trained.policy.network.head
    assert torch.equal(head.reward, torch.tensor([1.0, 0.0, 0.0]))
    practise(trained.policy, trained.env, trained.worth, 3, np.random.default_rng(0))
    slope, _, floor = chain.reward.tolist()
    assert -0.7 < floor < -0.2 and slope > 0.3  # a skip costs half of what a track heard out earns
    assert torch.equal(head.reward, chain.reward)
