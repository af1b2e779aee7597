"""Facts about training runs: what they leave, what repeats, what is refused."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import evaluate
from driftrec.experiments.runs import check_compatible, load_agent, read_run
from driftrec.experiments.seeds import validation_users
from driftrec.experiments.train import TrainConfig, TrainResult, resume, train
from driftrec.experiments.training_ends import describe_result
from driftrec.experiments.worlds import describe, make_batch

ENV = "driftrec/Video-v0"
SMALL = {"slate_size": 3, "history": 5, "horizon": 10}
CONFIG = TrainConfig(
    out="",
    steps=240,
    num_envs=8,
    env_options=SMALL,
    learner_options={"hidden": 16, "layers": 1, "heads": 2},
    validations=3,
    validation_users=16,
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(replace(CONFIG, out=str(tmp_path_factory.mktemp("runs") / "a")))


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_run_folder_is_complete(result: TrainResult) -> None:
    names = {path.name.split(".")[0] for path in result.folder.iterdir()}
    assert names == {"config", "metrics", "model", "last", "events"}
    config = read_run(result.folder)
    assert config["status"] == "finished"
    assert config["train"]["steps"] == 240 and config["train"]["env_options"] == SMALL
    assert config["world"]["num_items"] == 1000 and len(config["world"]["catalog_hash"]) == 16
    assert config["result"]["score"] == result.score


def test_metrics_start_before_training_and_hold_the_losses(result: TrainResult) -> None:
    rows = metrics(result.folder)
    assert [int(row["steps"]) for row in rows] == [0, 80, 160, 240]
    assert rows[0]["policy_loss"] == "" and float(rows[-1]["policy_loss"]) != 0
    assert max(float(row["validation_score"]) for row in rows) == result.score


@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
def test_the_same_seed_repeats_a_run_bit_for_bit(
    result: TrainResult, tmp_path: Path, algo: str
) -> None:
    first = result.folder
    if algo != "ppo":
        first = train(replace(CONFIG, out=str(tmp_path / "first"), algo=algo)).folder
    train(replace(CONFIG, out=str(tmp_path / "again"), algo=algo))
    assert metrics(tmp_path / "again") == metrics(first)
    ours, theirs = parameters(tmp_path / "again"), parameters(first)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_another_seed_gives_another_run(result: TrainResult, tmp_path: Path) -> None:
    train(replace(CONFIG, out=str(tmp_path / "b"), seed=1))
    assert metrics(tmp_path / "b")[1:] != metrics(result.folder)[1:]


def parameters(folder: Path) -> dict[str, Any]:
    from driftrec.agents.learners import load_learner

    policy = load_learner(str(folder / "last.zip")).policy
    return {name: value.numpy() for name, value in policy.state_dict().items()}


def test_the_model_kept_is_the_best_on_the_validation_users(result: TrainResult) -> None:
    again = evaluate(
        lambda env: load_agent(result.folder, env, ENV), ENV, 16, validation_users(), SMALL
    )
    assert float(again.score.mean()) == result.score


def test_ctrl_c_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from driftrec.experiments.callbacks import Validation

    def press(self: Validation) -> bool:
        if self.num_timesteps > 100:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(Validation, "_on_step", press)
    stopped = train(replace(CONFIG, out=str(tmp_path / "a")))
    assert stopped.interrupted and stopped.steps < 240
    assert read_run(tmp_path / "a")["status"] == "interrupted"
    assert str(tmp_path / "a" / "last.zip") in describe_result(stopped)
    assert parameters(tmp_path / "a")
    load_agent(tmp_path / "a", make_batch(ENV, 1, SMALL), ENV)


# --- interruption and early stop ------------------------------------------------------------------


def interrupt(patch: pytest.MonkeyPatch, owner: type, hook: str, steps: int) -> None:
    """Presses Ctrl-C when the method ``hook`` of ``owner`` ends, once ``steps`` have been done."""
    plain = getattr(owner, hook)

    def press(self: Any, *args: Any) -> Any:
        answer = plain(self, *args)
        if self.num_timesteps >= steps:
            raise KeyboardInterrupt
        return answer

    patch.setattr(owner, hook, press)


@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
@pytest.mark.parametrize("when", ["in the first rollout", "later on", "in an update"])
def test_a_resumed_run_is_the_run_that_was_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algo: str, when: str
) -> None:
    from driftrec.agents.episodes import EpisodeAlgorithm
    from driftrec.experiments.callbacks import Validation

    owner, hook, steps = {
        "in the first rollout": (Validation, "_on_step", 40),
        "later on": (Validation, "_on_step", 200),
        "in an update": (EpisodeAlgorithm, "descend", 160),
    }[when]
    options = dict(CONFIG.learner_options) | {"pretrain_steps": 80, "privileged": True}
    config = replace(CONFIG, algo=algo, learner_options=options, env_options=SMALL)
    whole = train(replace(config, out=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        interrupt(patch, owner, hook, steps)
        assert train(replace(config, out=str(tmp_path / "a"))).interrupted
    resumed = resume(tmp_path / "a")
    assert (resumed.steps, resumed.score, resumed.best_step) == (240, whole.score, whole.best_step)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "whole")
    ours, theirs = parameters(tmp_path / "a"), parameters(tmp_path / "whole")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    record = read_run(tmp_path / "a")
    assert record["status"] == "finished" and len(record["resumed"]) == 1


def test_a_run_that_fails_says_so_and_what_has_no_score_says_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftrec.experiments.callbacks import Validation

    def fails(self: Validation) -> None:
        raise RuntimeError("by design")

    monkeypatch.setattr(Validation, "_validate", fails)
    with pytest.raises(RuntimeError, match="by design"):
        train(replace(CONFIG, out=str(tmp_path / "a")))
    assert read_run(tmp_path / "a")["status"] == "failed"

    def press(self: Validation) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Validation, "_validate", press)
    train(replace(CONFIG, out=str(tmp_path / "b")))
    said = json.loads((tmp_path / "b" / "config.json").read_text(), parse_constant=pytest.fail)
    assert (said["status"], said["result"]["score"]) == ("interrupted", None)


def test_a_run_on_spoiled_feedback_is_served_and_watched(tmp_path: Path) -> None:
    from driftrec.experiments.recommend import model_of_run
    from driftrec.experiments.watch import watch

    spoiled = {**SMALL, "feedback": "bots-random:0.3"}
    run = train(replace(CONFIG, steps=80, out=str(tmp_path / "a"), env_options=spoiled)).folder
    assert len(model_of_run(run).items) == 1000
    assert watch(None, run, None, 1, {"horizon": 2}) == 2


def test_seconds_before_an_interruption_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftrec.experiments import callbacks

    readings = itertools.count(0, 1000)  # a clock by which every reading is 1,000 s after the last
    slow = SimpleNamespace(perf_counter=lambda: next(readings))
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "time", slow)
        interrupt(patch, callbacks.Validation, "_on_step", 100)
        assert train(replace(CONFIG, out=str(tmp_path / "a"))).seconds >= 1000
    assert 1000 < resume(tmp_path / "a").seconds < next(readings)


def test_only_an_interrupted_run_is_resumed(result: TrainResult, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has finished: there is nothing to resume"):
        resume(result.folder)
    with pytest.raises(UserError, match=r"is no run folder: it has no config\.json"):
        resume(tmp_path)
    config = json.loads((result.folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"status": "running"}))
    with pytest.raises(UserError, match=r"has no last\.zip"):
        resume(tmp_path)
    shutil.copy(result.folder / "model.zip", tmp_path / "last.zip")
    with pytest.raises(UserError, match=r"last\.zip is no checkpoint"):
        resume(tmp_path)


def test_training_ends_when_nothing_better_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftrec.experiments.callbacks import Validation

    scores = iter([0.1, 0.3, 0.2, 0.2, 0.9, 0.9])

    def validate(self: Validation) -> None:
        self._keep(next(scores))

    monkeypatch.setattr(Validation, "_validate", validate)
    stopped = train(
        replace(CONFIG, out=str(tmp_path / "a"), steps=800, validations=10, early_stop=2)
    )
    assert stopped.stopped and not stopped.interrupted
    assert (stopped.steps, stopped.score, stopped.best_step) == (240, 0.3, 80)
    assert [int(row["steps"]) for row in metrics(tmp_path / "a")] == [0, 80, 160, 240]
    assert "stopped early" in describe_result(stopped)
    with pytest.raises(UserError, match="early_stop must be at least 0, got -1"):
        replace(CONFIG, early_stop=-1)


# --- refusals -----------------------------------------------------------------------------------


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test as soon as a learner is built."""
    import driftrec.agents.learners

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(driftrec.agents.learners, "make_learner", fail)


@pytest.mark.usefixtures("untrained")
def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        train(replace(CONFIG, out=str(tmp_path / "file" / "run")))


@pytest.mark.usefixtures("untrained")
def test_a_full_disk_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="is full: 0 MiB free"):
        train(replace(CONFIG, out=str(tmp_path / "run")))


@pytest.mark.usefixtures("untrained")
def test_a_folder_with_a_run_is_refused(result: TrainResult) -> None:
    with pytest.raises(UserError, match="already holds a run"):
        train(replace(CONFIG, out=str(result.folder)))


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        ("driftrec/DriftingInterest-v0", SMALL,
         r"trained for environment driftrec/Video-v0, got environment driftrec/DriftingInterest"),
        (ENV, SMALL | {"slate_size": 4}, "for slate size 3, got slate size 4"),
        (ENV, SMALL | {"history": 6}, "for history length 5, got history length 6"),
    ],
)  # fmt: skip
def test_a_model_of_another_world_is_refused(
    result: TrainResult, env_id: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_agent(result.folder, make_batch(env_id, 1, options), env_id)


def test_a_model_of_another_catalogue_or_version_is_refused(result: TrainResult) -> None:
    config = read_run(result.folder)
    world = describe(ENV, make_batch(ENV, 1, SMALL))
    check_compatible(config, result.folder, world)
    other = world | {"catalog": "mine", "catalog_hash": "0"}
    with pytest.raises(UserError, match=r"catalogue video \(\w+\), got catalogue mine \(0\)"):
        check_compatible(config, result.folder, other)
    old = config | {"versions": {"driftrec": "0.0.9"}}
    with pytest.raises(UserError, match=r"is of driftrec 0\.0\.9, this is driftrec "):
        check_compatible(old, result.folder, world)
    patch = config["versions"]["driftrec"].rpartition(".")[0] + ".99"
    check_compatible(config | {"versions": {"driftrec": patch}}, result.folder, world)


def test_a_damaged_or_missing_model_is_refused(result: TrainResult, tmp_path: Path) -> None:
    env = make_batch(ENV, 1, SMALL)
    with pytest.raises(UserError, match=r"is no run folder: it has no config\.json"):
        load_agent(tmp_path, env, ENV)
    shutil.copy(result.folder / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"has no model\.zip"):
        load_agent(tmp_path, env, ENV)
    (tmp_path / "model.zip").write_bytes((result.folder / "model.zip").read_bytes()[:5000])
    with pytest.raises(UserError, match=r"cannot load .*model\.zip"):
        load_agent(tmp_path, env, ENV)
    (tmp_path / "config.json").write_text(json.dumps({"world": {}}))
    with pytest.raises(UserError, match="must have a table 'versions'"):
        load_agent(tmp_path, env, ENV)


@pytest.mark.parametrize("name", ["steps", "num_envs", "validation_users"])
def test_a_config_without_work_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be at least 1, got 0"):
        replace(CONFIG, **{name: 0})
