"""Facts about tuning: what is searched, that a study repeats and resumes, and where results go."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from driftrec.agents import AGENTS, agent_class
from driftrec.agents.learners import ALGORITHMS, NETWORKS, make_learner
from driftrec.agents.search import Choice, Range, coarse
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.errors import UserError
from driftrec.experiments.presets import Baseline, Learner, Preset
from driftrec.experiments.settings import read_settings, with_settings
from driftrec.experiments.spaces import left_to_search, search_space
from driftrec.experiments.tune import TuneConfig, TuneResult, describe_study, tune
from driftrec.experiments.worlds import make_batch

pytest.importorskip("optuna", reason="needs the extra: tune")

VIDEO = "driftrec/Video-v0"
CONFIG = TuneConfig(
    out="",
    agent="moving-average",
    trials=11,
    env_options={"slate_size": 3, "history": 8, "horizon": 8},
    validation_users=32,
)
LEARNER = replace(
    CONFIG,
    agent="mlp",
    trials=8,
    steps=128,
    num_envs=8,
    validations=2,
    options={"hidden": 8, "pretrain_steps": 64, "privileged": True},
    validation_users=8,
)


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    return tune(replace(CONFIG, out=str(tmp_path_factory.mktemp("tune") / "a")))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    return tune(replace(LEARNER, out=str(tmp_path_factory.mktemp("tune") / "b")))


# --- what is searched -----------------------------------------------------------------------------

TUNED = [(name, "") for name in AGENTS if agent_class(name).search]
TUNED += [(name, algo) for name in ("mlp", "interest-attention") for algo in ALGORITHMS]


@pytest.mark.parametrize(("agent", "algo"), TUNED)
def test_an_untuned_agent_lies_within_what_is_searched(agent: str, algo: str) -> None:
    space, untuned = search_space(agent, algo)
    assert set(space) == set(untuned)
    for name, part in space.items():
        assert untuned[name] in part, (name, untuned[name])


@pytest.mark.parametrize("name", [name for name, algo in TUNED if not algo])
def test_every_point_of_a_declared_grid_is_a_configuration(name: str) -> None:
    cls = agent_class(name)
    for options in coarse(cls.search):
        cls.Config(**options)


def test_what_cannot_be_searched_is_refused() -> None:
    for bad in ({"low": 2.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True}):
        with pytest.raises(ValueError, match="low < high, got low"):
            Range(**bad)
    with pytest.raises(ValueError, match=r"grid must lie in \[0, 1\], got 2"):
        Range(0, 1, grid=(2,))
    assert Range(1, 6).whole and not Range(1.0, 6.0).whole and True in Choice((False, True))


# --- agents without training ----------------------------------------------------------------------


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("agent", NETWORKS)
def test_untuned_is_what_a_learner_is_when_told_nothing(agent: str, algo: str) -> None:
    env = BatchVecEnv(make_batch(VIDEO, 2, {"slate_size": 3, "history": 5, "horizon": 4}))
    learner = make_learner(agent, algo, env)
    config = learner.policy.network.config
    for name, value in search_space(agent, algo)[1].items():
        assert getattr(config, name, getattr(learner, name, None)) == value, name
    env.close()


def test_a_study_begins_untuned_and_ends_no_worse(study: TuneResult) -> None:
    rows, best = trials(study.folder), study.best
    assert best is not None and len(rows) == study.trials == best["trials"] == 11
    _, untuned = search_space("moving-average", "")
    assert {name: float(rows[0][name]) for name in untuned} == untuned
    assert best["untuned_score"] == float(rows[0]["score"])
    assert best["score"] == max(float(row["score"]) for row in rows) > best["untuned_score"]
    chosen = rows[best["trial"]]
    assert {name: float(chosen[name]) for name in untuned} == best["options"]
    assert best["budget"] == "11 trials of one episode of 32 validation users"
    assert abs(sum(best["importance"].values()) - 1) < 0.01
    said = describe_study(study)
    assert "11 trials" in said and f"--settings {study.folder / 'best.json'}" in said


def test_a_study_that_was_interrupted_goes_on_to_the_same_end(
    study: TuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftrec.experiments import tune as module

    plain, calls = module.validation_score, []

    def press(*args: Any) -> float:
        calls.append(args)
        if len(calls) in (1, 10):  # in the first trial, and in the first that was proposed
            raise KeyboardInterrupt
        return plain(*args)

    config = replace(CONFIG, out=str(tmp_path / "a"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_one_trial", lambda *_: press())  # before it is asked for anything
        assert tune(config).trials == 0
    calls.clear()
    monkeypatch.setattr(module, "validation_score", press)
    first = tune(config)
    assert first.interrupted and first.best is None and first.trials == 0
    second = tune(config)
    assert second.interrupted and second.trials == 8
    assert "interrupted after 8 trials" in describe_study(second)
    last = tune(config)
    assert not last.interrupted and trials(last.folder) == trials(study.folder)
    assert len(calls) == 13
    tune(config)
    assert len(calls) == 13  # everything was there


def test_a_study_grows_and_is_held_to_its_settings(study: TuneResult) -> None:
    before = trials(study.folder)
    grown = tune(replace(CONFIG, out=str(study.folder), trials=12))
    assert grown.trials == 12 and trials(study.folder)[:11] == before
    with pytest.raises(UserError, match=r"holds results of other settings \(seed differ\)"):
        tune(replace(CONFIG, out=str(study.folder), seed=1))


def test_options_that_an_agent_refuses_cost_a_trial_and_no_more(tmp_path: Path) -> None:
    """A window longer than the history."""
    config = replace(CONFIG, agent="sliding-linucb", trials=4, out=str(tmp_path / "a"))
    with pytest.raises(ValueError, match="window must be at most the history of 8 slates, got 40"):
        tune(config)
    options = {**CONFIG.env_options, "history": 41}
    done = tune(replace(config, env_options=options, out=str(tmp_path / "b"), trials=9))
    states = [row["state"] for row in trials(done.folder)]
    long = [float(row["window"]) > 41 for row in trials(done.folder)]
    assert any(long) and [state == "refused" for state in states] == long


def test_what_cannot_be_tuned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, out=str(tmp_path / "a"))
    with pytest.raises(UserError, match="random has nothing to tune"):
        tune(replace(config, agent="random"))
    with pytest.raises(UserError, match=r"agent must be one of random, .*, mlp, got 'nobody'"):
        tune(replace(config, agent="nobody"))
    with pytest.raises(UserError, match="algo must be one of ppo, reinforce, slateq, got 'sarsa'"):
        tune(replace(LEARNER, algo="sarsa", out=str(tmp_path / "a")))
    with pytest.raises(UserError, match="unknown env option 'horizn'"):
        tune(replace(config, env_options={"horizn": 3}))
    with pytest.raises(UserError, match="options must leave something to tune"):
        tune(replace(config, options=dict.fromkeys(agent_class("moving-average").search, 0.5)))
    with pytest.raises(UserError, match="trials must be at least 1, got 0"):
        replace(config, trials=0)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'driftrec\[tune\]'"):
        tune(config)


def test_what_a_trial_among_users_finds_is_not_searched_beside_it() -> None:
    space, _ = search_space("interest-attention", "ppo")
    left = left_to_search(space, {"trial": True, "gamma": 0.8})
    assert space.keys() - left.keys() == {"diversity", "loyalty", "gamma"}
    assert left_to_search(space, {"trial": False}) == space


# --- learners -------------------------------------------------------------------------------------


def test_a_learners_trials_are_trainings_on_the_same_budget(learned: TuneResult) -> None:
    best, rows = learned.best, trials(learned.folder)
    assert best is not None and len(rows) == 8
    assert best["budget"] == (
        "8 trials of 128 user-steps (pretraining: 64 user-steps on the users' true utilities "
        "(targets only)), scored on 8 validation users"
    )
    assert "hidden" in best["options"] and "pretrain_steps" not in best["options"]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert all(int(row["validations"]) == 3 for row in rows if row["state"] == "complete")
    kept = [run.name for run in (learned.folder / "trials").iterdir()]
    assert kept == [f"{best['trial']:03d}"]  # of all run folders
    run = json.loads((learned.folder / "trials" / kept[0] / "config.json").read_text())
    assert run["result"]["score"] == best["score"]
    assert run["train"]["learner_options"].items() >= best["options"].items()


def test_a_hopeless_trial_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only once four have been trained to the end, and never before there was any training."""
    from driftrec.experiments.callbacks import Validation

    seen = []

    def validate(self: Validation) -> None:
        seen.append(self.num_timesteps)
        self._keep(1.0 / len(seen))

    monkeypatch.setattr(Validation, "_validate", validate)
    done = tune(replace(LEARNER, trials=5, out=str(tmp_path / "a")))
    assert done.pruned == 1 and [row["state"] for row in trials(done.folder)][-1] == "pruned"
    assert seen == [0, 64, 128] * 4 + [0, 64]
    assert done.best is not None and done.best["trial"] == 0


# --- where results go -----------------------------------------------------------------------------


def test_settings_are_for_their_own_agent(learned: TuneResult, study: TuneResult) -> None:
    settings = read_settings(learned.folder)
    assert settings.name == "mlp by ppo" and settings.options == learned.best["options"]  # type: ignore[index]
    settings.check(None), settings.check("mlp", "ppo")
    with pytest.raises(UserError, match=r"best\.json are of mlp by ppo, got gru by ppo"):
        settings.check("gru", "ppo")
    with pytest.raises(UserError, match="are of moving-average, got mlp by ppo"):
        read_settings(study.folder / "best.json").check("mlp", "ppo")


def test_a_benchmark_takes_settings_in_place_of_its_grid(
    learned: TuneResult, study: TuneResult
) -> None:
    grid = ({"decay": 0.8}, {"decay": 0.9})
    preset = Preset(
        name="x",
        learners=(Learner("mlp", "ppo", 128, {"pretrain_steps": 64}), Learner("gru", "ppo", 128)),
        baselines=(Baseline("random"), Baseline("moving-average", grid)),
    )
    found = [read_settings(learned.folder), read_settings(study.folder)]
    tuned = with_settings(preset, found)
    assert tuned.baselines[1].grid == (found[1].options,)
    assert tuned.learners[0].options == {"pretrain_steps": 64, **found[0].options}
    assert (tuned.learners[1], tuned.baselines[0]) == (preset.learners[1], preset.baselines[0])
    with pytest.raises(UserError, match=r"must be of an agent of the preset \(gru by ppo, random,"):
        with_settings(replace(preset, learners=preset.learners[1:]), found)
    with pytest.raises(UserError, match="were tuned in driftrec/Video-v0, got driftrec/News-v0"):
        with_settings(replace(preset, env="driftrec/News-v0"), found)
    with pytest.raises(UserError, match="given once for mlp by ppo, got several"):
        with_settings(preset, [found[0], found[0]])


def test_what_is_no_result_of_tuning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"best\.json does not exist"):
        read_settings(tmp_path)
    (tmp_path / "best.json").write_text('{"options": {}}')
    with pytest.raises(UserError, match=r"must be a best\.json of driftrec tune"):
        read_settings(tmp_path)
