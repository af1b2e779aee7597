"""Facts about training on a log that must not tell of its users."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from driftrec.agents import pretraining as agents_pretraining
from driftrec.agents.contrast import last_choices
from driftrec.agents.learners import load_learner, make_learner
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.errors import UserError
from driftrec.experiments.pretraining import begun_in, describe_stages, stages_of
from driftrec.experiments.runs import read_run
from driftrec.experiments.train import TrainConfig, resume, train
from driftrec.experiments.training_ends import describe_result
from driftrec.experiments.worlds import make_batch

pytest.importorskip("opacus")

VIDEO = "driftrec/Video-v0"
SMALL = {"slate_size": 3, "history": 8, "horizon": 6}
CONFIG = TrainConfig(
    out="",
    agent="gru",
    steps=48,
    num_envs=8,
    env_options=SMALL,
    learner_options={
        "hidden": 16,
        "pretrain_steps": 48,
        "privileged": True,
        "epsilon": 2.0,
        "items": "catalogue",
    },
    validations=1,
    validation_users=4,
)


def write_log(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    lines = ["user_id,item_id,timestamp,value"]
    lines += [f"u{e % 30},video-{rng.integers(900):03d},{e},1" for e in range(300)]
    path.write_text("\n".join(lines) + "\n")
    return path


def weights(folder: Path, name: str = "last.zip") -> dict[str, torch.Tensor]:
    return dict(load_learner(str(folder / name)).policy.state_dict())


def test_the_last_events_of_each_user_become_choices_among_items_drawn():
    user = np.repeat([7, 3], [5, 2])
    item = np.arange(7) + 10
    grade = np.linspace(0.1, 0.7, 7)
    found = last_choices(
        user,
        item,
        grade,
        np.arange(7.0)[::-1].copy(),  # written newest first
        num_items=50,
        history=3,
        slots=4,
        generator=np.random.default_rng(0),
    )
    assert found.slates.shape == (2, 3, 4) and found.against == "drawn"
    taken = found.feedback > 0
    assert (taken.sum(2) == [[0, 1, 1], [1, 1, 1]]).all()  # user 3 did two things only
    assert (found.slates[0, 0] == -1).all()
    np.testing.assert_array_equal(found.slates[taken], [16, 15, 12, 11, 10])
    np.testing.assert_allclose(found.feedback[taken], grade[[6, 5, 2, 1, 0]], rtol=1e-6)
    again = (found.slates == np.where(taken, found.slates, -2).max(2, keepdims=True)).sum(2)
    assert (again[taken.any(2)] == 1).all()  # what was taken stands in its slate once
    with pytest.raises(ValueError, match="needs events and 2 slots, got 7 and 1"):
        last_choices(user, item, grade, grade, num_items=50, history=3, slots=1, generator=None)


def test_nothing_but_the_private_fit_has_read_the_log(tmp_path: Path, monkeypatch):
    logs = [write_log(tmp_path / f"{seed}.csv", seed) for seed in (0, 1)]

    def run(log: Path, name: str) -> dict[str, torch.Tensor]:
        train(replace(CONFIG, out=str(tmp_path / name), log=str(log)))
        return weights(tmp_path / name)

    differ = run(logs[0], "a"), run(logs[1], "b")
    assert not torch.equal(*(w["network.interest.memory.keep"] for w in differ))
    monkeypatch.setattr(agents_pretraining, "fit_interest_privately", lambda *a, **k: None)
    ours, theirs = run(logs[0], "c"), run(logs[1], "d")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_run_says_what_the_accountant_says(tmp_path: Path):
    log = write_log(tmp_path / "log.csv", 0)
    result = train(replace(CONFIG, out=str(tmp_path / "a"), log=str(log)))
    record = read_run(tmp_path / "a")
    told = record["privacy"]
    assert told["users"] == 30 and told["delta"] == pytest.approx(0.1 / 30)
    assert 1.8 < told["epsilon"] <= 2.0 and told["noise"] > 0.5
    assert record["result"]["privacy"] == told
    assert "privacy: epsilon 2, delta 0.003, 30 users" in describe_result(result)
    assert describe_stages(stages_of(record)) == (
        f"log {log}, private at epsilon 2, then 48 user-steps on the users' true utilities "
        "(targets only)"
    )
    with pytest.raises(UserError, match="there is nothing to resume"):
        resume(tmp_path / "a")
    onwards = begun_in(tmp_path / "a", None, {"pretrain_steps": 24, "privileged": True})
    assert onwards["learner_options"]["log_passes"] == 0
    assert onwards["learner_options"]["items"] == "catalogue"
    later = replace(CONFIG, out=str(tmp_path / "b"), **onwards)
    assert train(later).privacy == told


def test_items_are_known_by_the_catalogue_alone():
    env = BatchVecEnv(make_batch(VIDEO, 2, SMALL))
    with pytest.raises(ValueError, match="items must be catalogue with an epsilon, got log"):
        make_learner("gru", "ppo", env, epsilon=1.0)
    network = make_learner("gru", "ppo", env, items="catalogue").policy.network
    topics = env.env.unwrapped.catalog.topics
    expected = topics / np.linalg.norm(topics, axis=1, keepdims=True)
    np.testing.assert_allclose(network.features.numpy(), expected, atol=1e-6)
    assert not network.average.any()
    with pytest.raises(ValueError, match="items must be one of log, catalogue, got 'x'"):
        make_learner("gru", "ppo", env, items="x")


def test_what_cannot_be_private_is_refused_before_anything_is_trained(tmp_path: Path):
    def refused(message: str, log: str | None = None, **options):
        told = {**CONFIG.learner_options, **options}
        with pytest.raises(ValueError, match=message):
            train(replace(CONFIG, out=str(tmp_path / "x"), log=log, learner_options=told))
        assert not (tmp_path / "x" / "config.json").exists()

    refused("epsilon must be left out where no log is read", pretrain_steps=0)
    refused("epsilon must be positive and finite, got 0", epsilon=0.0)
    refused("log must be a file or folder with events of users, got 'nowhere'", log="nowhere")
