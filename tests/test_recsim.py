"""RecSim's users as this project's environment: the same users, and agents that train on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("recsim", reason="the extra 'recsim' is not installed")

from driftrec import agents
from driftrec.envs.recsim import ENV_ID, SLATE, TOPIC
from driftrec.experiments.evaluate import evaluate
from driftrec.experiments.train import TrainConfig, train
from driftrec.experiments.worlds import make_batch

USERS = 60


class Ranked:
    """Shows the candidates with the largest merit [B, N] or [N]."""

    def __init__(self, merit):
        self.merit = merit

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        merit = np.where(observation["available"] > 0, self.merit(), -np.inf)
        return np.argsort(-merit, axis=1, kind="stable")[:, :SLATE], None


def minutes(make):
    result = evaluate(make, ENV_ID, USERS, 0)
    score = result.score * result.horizon
    return score.mean(), score.std() / USERS**0.5


def test_the_published_levels_are_met():
    rng = np.random.default_rng(0)
    random = lambda env: Ranked(lambda: rng.random((env.num_envs, len(TOPIC))))  # noqa: E731
    myopic = lambda env: Ranked(lambda: env.interests()[:, TOPIC])  # noqa: E731
    rule = lambda env: Ranked(lambda: TOPIC)  # noqa: E731
    for make, published in ((random, 159.2), (myopic, 166.3), (rule, 264.8)):
        mean, error = minutes(make)
        assert abs(mean - published) < 3.5 * error, (mean, error, published)


def test_a_slate_holds_candidates_and_other_items_fill_slots_in_vain():
    batch = make_batch(ENV_ID, 4, {"history": 2})
    seen, _ = batch.reset(seed=3)
    assert (seen["slates"] == -1).all() and (seen["available"].sum(1) >= 7).all()
    assert (seen["available"].sum(1) <= 10).all()
    for _ in range(30):  # items that are not to be had
        gone = np.argsort(seen["available"], axis=1, kind="stable")[:, :SLATE]
        seen, reward, _, _, _ = batch.step(gone)
        assert not reward.any() and not seen["feedback"][:, -1].any()
    taken = 0.0
    for _ in range(30):  # the same candidate in all slots counts once, in the first
        best = np.repeat(seen["available"].argmax(1)[:, None], SLATE, axis=1)
        seen, reward, _, _, _ = batch.step(best)
        np.testing.assert_allclose(reward, 4 * seen["feedback"][:, -1].sum(1), rtol=1e-6)
        assert not seen["feedback"][:, -1, 1:].any()
        taken += reward.sum()
    assert taken > 0


def test_what_is_watched_moves_the_interest_in_its_topic_alone():
    batch = make_batch(ENV_ID, 8)
    seen, _ = batch.reset(seed=1)
    before = batch.interests()
    slates = np.argsort(-seen["available"], axis=1, kind="stable")[:, :SLATE]
    seen, reward, _, _, _ = batch.step(slates)
    moved = np.abs(batch.interests() - before) > 0
    for row in range(8):
        watched = TOPIC[slates[row][seen["feedback"][row, -1] > 0]]
        assert set(np.flatnonzero(moved[row])) <= set(watched)
    assert moved.any() and reward.any()


def test_a_rows_users_depend_on_its_seed_alone():
    def play(num, seed):
        batch, seen = make_batch(ENV_ID, num, {"history": 1}), None
        observation, _ = batch.reset(seed=seed)
        rewards = []
        for _ in range(150):  # into the second episode
            slates = np.argsort(-observation["available"], axis=1, kind="stable")[:, :SLATE]
            observation, reward, left, cut, seen = batch.step(slates)
            rewards.append((reward[-1], left[-1], cut[-1]))
        assert seen is not None
        return np.array(rewards, float)

    alone, among = play(1, 12), play(3, 10)
    np.testing.assert_array_equal(alone, among)
    assert alone[:, 1].sum() >= 1 and not alone[:, 2].any()  # users leave, nothing is cut
    assert (play(1, 13) != alone).any()


def test_the_last_observation_of_a_session_is_the_old_users():
    batch = make_batch(ENV_ID, 2, {"history": 1, "horizon": 5})
    observation, _ = batch.reset(seed=0)
    for step in range(5):
        slates = np.argsort(-observation["available"], axis=1, kind="stable")[:, :SLATE]
        observation, _, left, cut, infos = batch.step(slates)
        assert (cut == (step == 4)).all() and not left.any()
    np.testing.assert_array_equal(infos["final_obs"][1]["slates"][-1], slates[1])
    assert (observation["slates"] == -1).all()  # nobody knows the next user


def test_agents_know_topics_and_nothing_of_quality_or_users():
    platform = agents.Platform.of(make_batch(ENV_ID, 1))
    np.testing.assert_array_equal(platform.log.features.argmax(1), TOPIC)
    assert not platform.catalog.quality.any() and np.ptp(platform.log.reward) == 0
    assert abs(np.corrcoef(np.arange(len(TOPIC)), TOPIC)[0, 1]) < 0.3


def test_users_without_a_history_have_streams_of_their_own():
    batch = make_batch(ENV_ID, 200)
    observation, _ = batch.reset(seed=0)
    state = agents.make("random", batch).predict(observation)[1]
    assert len(np.unique(state["key"])) == 200


def test_agents_train_there(tmp_path: Path):
    config = TrainConfig(
        out=str(tmp_path / "a"),
        env=ENV_ID,
        agent="gru",
        steps=160,
        num_envs=4,
        env_options={"history": 1, "horizon": 20},
        learner_options={"hidden": 8, "pretrain_steps": 80, "gamma": 1.0},
        validations=1,
        validation_users=4,
    )
    result = train(config)
    assert result.steps == 160 and result.score > 0
    with pytest.raises(ValueError, match="horizon must be a whole number of at least 1, got 0"):
        train(replace(config, out=str(tmp_path / "b"), env_options={"horizon": 0}))
