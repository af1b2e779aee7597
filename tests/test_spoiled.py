"""Facts about feedback that does not say what the user thought."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from driftrec.envs import DriftVectorEnv
from driftrec.envs.spoiled import SpoiledFeedback, spoil
from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import evaluate
from driftrec.experiments.worlds import make_batch

VIDEO = "driftrec/Video-v0"
SMALL = {"slate_size": 3, "history": 8, "horizon": 12}


def play(feedback, users=60, steps=15, **options):
    """Observations and rewards of one script of slates, with this feedback."""
    env = make_batch(VIDEO, users, SMALL | options | {"feedback": feedback})
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=3)
    seen, rewards = [observation], []
    for _ in range(steps):
        slates = rng.permuted(np.tile(np.arange(1000), (users, 1)), axis=1)[:, :3]
        observation, reward, *_, infos = env.step(slates)
        seen.append(observation)
        rewards.append(reward)
    return seen, np.array(rewards), infos


def test_users_live_as_ever_and_only_the_feedback_of_a_share_of_events_is_lost():
    true, rewards, _ = play("true")
    told, same, _ = play("lost:0.3")
    np.testing.assert_array_equal(rewards, same)
    taken = lost = 0
    for ours, theirs in zip(told, true, strict=True):
        for key in ("slates", "request", "time"):
            np.testing.assert_array_equal(ours[key], theirs[key])
        events, left = theirs["feedback"].any(2), ours["feedback"].any(2)
        np.testing.assert_array_equal(ours["feedback"][left], theirs["feedback"][left])
        taken, lost = taken + events.sum(), lost + (events & ~left).sum()
    assert lost / taken == pytest.approx(0.3, abs=0.06)


def test_an_event_reads_the_same_at_every_later_request():
    for kind in ("lost:0.5", "random:0.5", "inverted:0.5", "bots-random:0.5"):
        told, _, infos = play(kind, horizon=100, steps=7)
        stay = ~infos.get("_final_obs", np.zeros(60, bool))
        for before, after in pairwise(told):
            moved = before["slates"][:, 1:] == after["slates"][:, :-1]
            same = moved.all((1, 2)) & stay  # others began another episode
            assert same.sum() >= 10
            np.testing.assert_array_equal(
                before["feedback"][same, 1:], after["feedback"][same, :-1]
            )


def test_inverted_and_random_say_what_they_are_called():
    true, *_ = play("true", steps=1)
    inverted, *_ = play("inverted:1", steps=1)
    np.testing.assert_array_equal(inverted[0]["feedback"], 1 - true[0]["feedback"])
    drawn = play("random:1", steps=1)[0][0]["feedback"]
    assert (drawn.sum(2) == 1).all() and set(np.unique(drawn)) == {0, 1}
    assert drawn.mean((0, 1)) == pytest.approx(np.full(3, 1 / 3), abs=0.07)


def test_a_step_that_only_begins_anew_pays_bots_nothing():
    inner = DriftVectorEnv(4, "video", autoreset_mode="NextStep", **SMALL)
    env, ended, paid = spoil(inner, "bots-random:1"), np.zeros(4, bool), 0.0
    env.reset(seed=0)
    for step in range(3 * SMALL["horizon"]):
        _, reward, left, timed_out, _ = env.step(np.arange(3 * step, 3 * step + 12).reshape(4, 3))
        assert (reward[ended] == 0).all()
        ended, paid = left | timed_out, paid + reward.sum()
    assert paid > 0


def test_bots_are_whole_users_who_are_paid_for_what_they_pretend():
    env = make_batch(VIDEO, 300, SMALL | {"feedback": "bots-random:0.3"})
    twin = make_batch(VIDEO, 300, SMALL)
    told, true = env.reset(seed=1)[0]["feedback"], twin.reset(seed=1)[0]["feedback"]
    bot = (told != true).any((1, 2))
    assert bot.mean() == pytest.approx(0.3, abs=0.08)
    assert (told[bot].sum(2) == 1).all()  # all that a bot does is made up
    slates = np.tile(np.arange(3), (300, 1))
    observation, reward, *_ = env.step(slates)
    _, honest, *_ = twin.step(slates)
    np.testing.assert_array_equal(reward[~bot], honest[~bot])
    worth = env.unwrapped.simulator.worth[:3]
    np.testing.assert_allclose(
        reward[bot], (observation["feedback"][bot, -1] * worth).sum(1), rtol=1e-6
    )


def test_the_last_observation_of_those_who_left_is_spoiled_alike():
    told, _, infos = play("lost:1", steps=12)
    rows = np.flatnonzero(infos["_final_obs"])
    assert len(rows) and all(not infos["final_obs"][row]["feedback"].any() for row in rows)
    assert not told[-1]["feedback"].any()


def test_an_adaptive_agent_loses_by_it():
    def score(feedback):
        options = {"slate_size": 5, "horizon": 40, "feedback": feedback}
        return evaluate("moving-average", VIDEO, 120, 5, options).score.mean()

    true = score("true")
    assert score("lost:0.9") < 0.8 * true
    assert score("inverted:0.5") < 0.8 * true


def test_mistakes_are_named():
    env = make_batch(VIDEO, 2, SMALL)
    assert spoil(env, "true") is env
    with pytest.raises(ValueError, match=r"share of spoiled feedback must be in \[0, 1\], got 2"):
        spoil(env, "lost:2")
    with pytest.raises(ValueError, match=r"feedback must be one of lost, random, .*, got 'late'"):
        SpoiledFeedback(env, "late", 0.1)
    with pytest.raises(ValueError, match=r"look like lost:0\.3, got 'lost'"):
        spoil(env, "lost")
    with pytest.raises(UserError, match="unknown env option 'feedbak'"):
        make_batch(VIDEO, 2, {"feedbak": "lost:0.1"})
