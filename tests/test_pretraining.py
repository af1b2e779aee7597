"""Facts about pretraining: what logs become, what is learned from them, and that it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from driftrec.agents.learners import load_learner, make_learner
from driftrec.agents.logs import RecordedLog, SimulatedLog, from_events, from_export
from driftrec.envs.export import collect
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.envs.spaces import clock_features
from driftrec.experiments.errors import UserError
from driftrec.experiments.pretraining import describe_stages, stages, stages_of
from driftrec.experiments.runs import read_run
from driftrec.experiments.train import TrainConfig, resume, train
from driftrec.experiments.worlds import make_batch

VIDEO, NEWS = "driftrec/Video-v0", "driftrec/News-v0"
SMALL = {"slate_size": 3, "history": 4, "horizon": 6}
CONFIG = TrainConfig(
    out="",
    agent="gru",
    steps=96,
    num_envs=8,
    env_options=SMALL,
    learner_options={"hidden": 16, "pretrain_steps": 96},
    log="simulator",
    validations=2,
    validation_users=8,
)


def users(env_id: str = VIDEO, num_envs: int = 8, **options: Any) -> BatchVecEnv:
    return BatchVecEnv(make_batch(env_id, num_envs, SMALL | options))


def weights(folder: Path, name: str = "model.zip") -> dict[str, torch.Tensor]:
    return dict(load_learner(str(folder / name)).policy.state_dict())


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


# --- what logs become -----------------------------------------------------------------------------


def test_exported_episodes_are_what_was_observed() -> None:
    env = make_batch(NEWS, 4, SMALL | {"horizon": 20})
    logged = collect(env, 4, seed=5)
    episodes = from_export(logged)
    assert len({len(episode) for episode in logged}) > 1  # some users left early
    for row, episode in enumerate(logged):
        steps, seen = len(episode), episode.observations
        assert episodes.alive[row].tolist() == [1] * steps + [0] * (episodes.steps - steps)
        assert episodes.available is not None
        for step in range(steps):
            window = slice(step, step + SMALL["history"])
            assert np.array_equal(episodes.slates[row, window], seen["slates"][step])
            assert np.array_equal(episodes.feedback[row, window], seen["feedback"][step])
            last = step + SMALL["history"] - 1
            assert episodes.request[row, last] == seen["request"][step]
            assert np.array_equal(episodes.time[row, last], seen["time"][step])
            assert np.array_equal(episodes.available[row, step], seen["available"][step])
        assert np.array_equal(episodes.reward[row, :steps], np.float32(episode.rewards))


def test_the_log_of_the_simulator_is_its_logging_policys() -> None:
    env = users()
    env.seed(3)
    worth = env.get_attr("simulator")[0].worth
    log = SimulatedLog(env, torch.as_tensor(worth))
    first, second = (log.read(np.random.default_rng(0)) for _ in range(2))
    assert first.teacher is None and first.slates.shape == (8, 10, 3)
    assert not torch.equal(first.slates, second.slates)
    expected = env.get_attr("simulator")[0].start(3 + np.arange(8), np.zeros(8, np.int64))
    assert np.array_equal(first.slates[:, :4], expected[1])  # the warm-up comes before
    shown, taken = first.slates[:, 4:], first.feedback[:, 4:].sum(2)
    assert (shown >= 0).all() and 0 < (taken > 0).float().mean() < 1
    assert np.allclose(first.slot_reward.sum(2), first.reward, atol=1e-4)


def test_events_become_slates_of_one_item_in_order() -> None:
    hours = np.array([30.0, 10.0, 20.0, 5.0, 40.0])
    episodes = from_events(
        np.array([1, 1, 1, 0, 1]), np.array([3, 1, 2, 9, 4]), np.array([1.0, 0.5, 0.0, 1.0, 0.25]),
        hours, worth=np.full(10, 2, np.float32), history=2, steps=3, slots=2,
    )  # fmt: skip
    assert episodes.slates[..., 0].tolist() == [
        [-1, -1, 9, -1, -1],  # user 0
        [-1, -1, 1, 2, 3],  # user 1, from the first event
        [2, 3, 4, -1, -1],  # and from the fourth
    ]
    assert (episodes.slates[..., 1] == -1).all()
    assert episodes.alive.tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 0]]
    assert episodes.reward.tolist() == [[2, 0, 0], [1, 0, 2], [0.5, 0, 0]]
    assert episodes.teacher is not None
    assert episodes.teacher.items[1, :, 0].tolist() == [1, 2, 3]
    asked = clock_features(np.array([10, 20, 30, 40], np.float32))
    assert np.allclose(episodes.time[1, 1:], asked) and (episodes.time[:, 0] == 0).all()


def test_empty_logs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one episode, got none"):
        from_export([])
    with pytest.raises(ValueError, match="at least one event, got none"):
        none = np.zeros(0, np.int64)
        from_events(
            none, none, none, none, worth=np.ones(3, np.float32), history=2, steps=3, slots=1
        )


# --- what is learned from them --------------------------------------------------------------------


def test_what_follows_in_the_log_is_foretold_better_after_pretraining() -> None:
    """Half of the users take even items in turn, half odd ones: what comes next can be known."""
    event = np.arange(40 * 12)
    user, turn = event // 12, event % 12
    item = 2 * (turn % 5) + user % 2
    episodes = from_events(
        user, item, np.ones(len(user)), 1.0 * turn,
        worth=np.ones(1000, np.float32), history=4, steps=6, slots=3,
    )  # fmt: skip
    env = users()
    options = {"pretrain_steps": 3000, "hidden": 16, "episode_batch": 4, "pretrain_rate": 6e-3}
    learner = make_learner("gru", "ppo", env, seed=1, **options)
    learner.log = RecordedLog(episodes, 40)

    def share() -> float:
        with torch.no_grad():
            output = learner.read(episodes)
            assert episodes.teacher is not None
            taken = output.scores_of(episodes.teacher.items)[..., 0] - output.log_total()
        return float(taken[1::2].exp().mean())  # of the windows that have a history

    before = share()
    learner.learn(3000)
    assert before < 0.01 and share() > 0.2  # 0.1 is what popularity comes to


def test_the_interest_in_a_log_knows_what_was_asked_and_when() -> None:
    env = users(NEWS)
    learner = make_learner("gru", "ppo", env, seed=1, hidden=16)
    law = learner.policy.network.interest.occasion
    episodes = SimulatedLog(env, learner.worth).read(np.random.default_rng(0))
    with torch.no_grad():
        law.fresh.fill_(0.5)
        law.asked.normal_(generator=torch.Generator().manual_seed(0))
        anew = learner.read(episodes).scores
        episodes.interest = learner._followed(episodes)
        assert torch.allclose(learner.read(episodes).scores, anew, atol=1e-5)


def test_a_log_takes_the_place_of_playing_until_pretraining_ends() -> None:
    class Counted(SimulatedLog):
        reads = 0

        def read(self, generator: np.random.Generator) -> Any:
            self.reads += 1
            return super().read(generator)

    env = users()
    learner = make_learner("gru", "reinforce", env, seed=1, pretrain_steps=96, hidden=16)
    learner.log = log = Counted(env, learner.worth)
    learner.learn(3 * 48)
    assert log.reads == 2 and learner.num_timesteps == 3 * 48


def test_an_interrupted_pretraining_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftrec.experiments.callbacks import Validation

    def press(self: Validation) -> bool:
        if self.num_timesteps > 48:
            raise KeyboardInterrupt
        return True

    train(replace(CONFIG, out=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        patch.setattr(Validation, "_on_step", press)
        assert train(replace(CONFIG, out=str(tmp_path / "a"))).interrupted
    assert resume(tmp_path / "a").steps == 96
    assert same(weights(tmp_path / "a", "last.zip"), weights(tmp_path / "whole", "last.zip"))


# --- a training that starts from it, and what is told ---------------------------------------------


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained") / "p"
    train(replace(CONFIG, out=str(out)))
    return out


def test_training_starts_from_the_pretrained_weights_and_says_so(
    pretrained: Path, tmp_path: Path
) -> None:
    options = {"hidden": 16, "pretrain_steps": 0}
    config = replace(CONFIG, log=None, start=str(pretrained), learner_options=options)
    result = train(replace(config, out=str(tmp_path / "a"), validations=1, steps=48))
    told = "96 user-steps on the log of the simulator's logging policy"
    assert result.pretraining == told == describe_stages(stages_of(read_run(tmp_path / "a")))
    before = json.loads((pretrained / "config.json").read_text())["result"]["score"]
    first = (tmp_path / "a" / "metrics.csv").read_text().splitlines()[1].split(",")
    assert float(first[2]) == before
    assert not same(weights(tmp_path / "a", "last.zip"), weights(pretrained))


def test_a_start_that_does_not_fit_is_refused(pretrained: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, log=None, start=str(pretrained), out=str(tmp_path / "a"))
    with pytest.raises(UserError, match="is of the agent gru, got mlp"):
        train(replace(config, agent="mlp"))
    with pytest.raises(UserError, match="is of another shape"):
        train(replace(config, out=str(tmp_path / "b"), learner_options={"hidden": 8}))
    with pytest.raises(UserError, match="for slate size 3, got slate size 4"):
        train(replace(config, out=str(tmp_path / "c"), env_options=SMALL | {"slate_size": 4}))
    with pytest.raises(UserError, match="privileged must be off with a log"):
        replace(CONFIG, learner_options={"privileged": True})


@pytest.mark.parametrize(
    ("options", "log", "told"),
    [
        ({}, None, "none"),
        ({"pretrain_steps": 60}, None, "60 user-steps on logged feedback"),
        ({"pretrain_steps": 900, "privileged": True}, None,
         "100 user-steps on the users' true utilities (targets only)"),
        ({"pretrain_steps": 60, "practice_steps": 1200}, None,
         "1,200 user-steps on answers to its own best slates, "
         "then 60 user-steps on logged feedback"),
        ({"pretrain_steps": 60}, "mine.csv", "60 user-steps on log mine.csv"),
    ],
)  # fmt: skip
def test_every_pretraining_is_told(options: dict[str, Any], log: str | None, told: str) -> None:
    settings = {"learner_options": options, "steps": 100, "log": log}
    found = stages(settings)
    assert describe_stages(found) == told
    again = stages({**settings, "log": None}, found)
    assert again[: len(found)] == found and len(again) == 2 * len(found)


# --- logs from files ------------------------------------------------------------------------------


def test_a_log_of_events_is_pretrained_on(tmp_path: Path) -> None:
    ids = make_batch(VIDEO, 1).catalog.ids
    rows = [f"u{i % 9},{ids[i % 7]},{1_700_000_000 + 3600 * i},{1 + i % 5}" for i in range(90)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["user_id,item_id,timestamp,value", *rows, "u1,gone,1,1"]) + "\n")
    result = train(replace(CONFIG, out=str(tmp_path / "a"), log=str(log)))
    assert result.pretraining == f"96 user-steps on log {log}"
    log.write_text("user_id,item_id,timestamp,value\nu1,gone,1,1\n")
    with pytest.raises(UserError, match=r"none of the 1 events in .* is of an item"):
        train(replace(CONFIG, out=str(tmp_path / "b"), log=str(log)))
    log.write_text("user_id,item_id\nu1,gone\n")
    with pytest.raises(ValueError, match="line 1: expected a column 'timestamp'"):
        train(replace(CONFIG, out=str(tmp_path / "c"), log=str(log)))


@pytest.mark.filterwarnings("ignore::UserWarning:minari")
def test_a_log_from_minari_is_pretrained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("minari", reason="needs the extra: offline")
    from driftrec.envs.export import to_minari
    from driftrec.envs.replay import from_minari

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env, name = make_batch(VIDEO, 4, SMALL), "driftrec/video/uniform-v0"
    logged = collect(env, 8)
    to_minari(logged, env, name)
    for read, episode in zip(from_minari(name), logged, strict=True):
        assert read.terminated == episode.terminated
        assert np.array_equal(read.slates, episode.slates)
        assert np.allclose(read.propensity, episode.propensity)
        assert all(np.array_equal(read.observations[k], v) for k, v in episode.observations.items())
    train(replace(CONFIG, out=str(tmp_path / "a"), log=name))
    with pytest.raises(UserError, match=r"must have history and slate size \(4, 2\), as the env"):
        train(replace(CONFIG, out=str(tmp_path / "b"), log=name,
                      env_options=SMALL | {"slate_size": 2}))  # fmt: skip
    with pytest.raises(UserError, match="log must be a file or folder with events, or a local"):
        train(replace(CONFIG, out=str(tmp_path / "c"), log="nowhere-v0"))
