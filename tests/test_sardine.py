"""SARDINE's users as this project's environment: the same users, and agents that train on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sardine", reason="the extra 'peers' is not installed")

import gymnasium as gym

from driftrec import agents
from driftrec.experiments import worlds
from driftrec.experiments.commands import evaluate_command
from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import evaluate
from driftrec.experiments.train import TrainConfig, resume, train
from driftrec.experiments.worlds import make_batch

ENV = "sardine/SlateTopK-Bored-v0"
CONFIG = TrainConfig(
    out="",
    env=ENV,
    agent="gru",
    steps=800,
    num_envs=4,
    env_options={"history": 2},
    learner_options={"hidden": 8, "vectors": 1, "several": True, "pretrain_steps": 400},
    validations=1,
    validation_users=4,
)


def test_a_row_is_sardines_own_environment_with_the_rows_seed():
    batch, slates = make_batch(ENV, 2, {"history": 3}), np.arange(20).reshape(2, 10) * 7
    observation, _ = batch.reset(seed=5)
    alone = gym.make(ENV)
    first, _ = alone.reset(seed=6)
    assert (observation["slates"][:, :-1] == -1).all()
    np.testing.assert_array_equal(observation["slates"][1, -1], first["slate"])
    for step in range(100):
        observation, reward, terminated, truncated, infos = batch.step(slates)
        seen, clicks, over, _, _ = alone.step(slates[1])
        last = observation if step < 99 else infos["final_obs"][1]
        got = last["feedback"][1, -1] if step < 99 else last["feedback"][-1]
        np.testing.assert_array_equal(got, seen["clicks"])
        assert reward[1] == clicks
    assert over and truncated.all() and not terminated.any()
    assert observation["feedback"][1, 0].sum() == 0  # the next user's first observation


def test_seeds_fix_all_episodes():
    def second_episode(batch):
        batch.reset(seed=1)
        for _ in range(101):
            seen = batch.step(np.tile(np.arange(10), (2, 1)))[0]
        return seen["slates"]

    first, again = (second_episode(make_batch(ENV, 2, {"history": 5})) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()


def test_agents_are_told_sardines_item_embeddings_and_nothing_of_users():
    batch = make_batch(ENV, 1)
    platform, theirs = agents.Platform.of(batch), gym.make(ENV).unwrapped
    np.testing.assert_allclose(platform.log.features, theirs.item_embedd, atol=1e-6)
    np.testing.assert_array_equal(platform.catalog.main_topic, theirs.item_comp)
    np.testing.assert_allclose(platform.log.position, 0.85 ** np.arange(10) / 0.535, rtol=0.5)
    assert not hasattr(batch.simulator, "log_gain")


def test_random_slates_earn_what_they_earn_in_sardine():
    score = evaluate("random", ENV, 40, 0).score * 100
    error = score.std() / 40**0.5
    assert abs(score.mean() - 42.9) < 3 * error + 1  # 42.9 +- 1.1 over 200 users of another seed


def test_bandits_earn_more_than_random_slates():
    score = evaluate_command("discounted-linucb", None, ENV, 16, 0, {}, progress=False)
    assert score["mean"] * 100 > 70


@pytest.mark.parametrize("algo", ["ppo", "slateq"])
def test_agents_train_there_and_resume(algo, tmp_path: Path, monkeypatch):
    from driftrec.experiments.callbacks import Validation

    config = replace(CONFIG, algo=algo)
    whole = train(replace(config, out=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:

        def press(self: Validation) -> bool:
            if self.num_timesteps >= 600:
                raise KeyboardInterrupt
            return True

        patch.setattr(Validation, "_on_step", press)
        assert train(replace(config, out=str(tmp_path / "cut"))).interrupted
    assert resume(tmp_path / "cut").score == whole.score
    scored = evaluate_command(None, tmp_path / "cut", None, 4, 7, {}, progress=False)
    assert scored["env"] == ENV and scored["steps_stayed"] == 100


def test_what_is_not_there_is_refused(tmp_path: Path, monkeypatch):
    with pytest.raises(UserError, match="env must be one of sardine/SingleItem-"):
        make_batch("sardine/Slate-v0", 1)
    with pytest.raises(UserError, match=r"unknown env option 'drift': .* has history"):
        make_batch(ENV, 1, {"drift": "all"})
    with pytest.raises(ValueError, match="history must be a whole number of at least 1, got 0"):
        make_batch(ENV, 1, {"history": 0})
    options = CONFIG.learner_options | {"privileged": True}
    with pytest.raises(ValueError, match="privileged must be False"):
        train(replace(CONFIG, out=str(tmp_path / "a"), learner_options=options))
    peers = {"sardine/": ("driftrec.envs.no_such_module", "None", "sardine-rec", "peers")}
    monkeypatch.setattr(worlds, "PEERS", peers)
    with pytest.raises(UserError, match=r"needs sardine-rec: pip install 'driftrec\[peers\]'"):
        make_batch(ENV, 1)
