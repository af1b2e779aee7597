"""Facts about sweeps over environments and strengths of drift, on made-up sessions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from driftrec.agents.learners import default_options
from driftrec.experiments.benchmark import JOBS, claim_folder, jobs_of
from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import EvaluationResult
from driftrec.experiments.files import read_json, write_json, write_text
from driftrec.experiments.grid import Job, run_job
from driftrec.experiments.plot import plot
from driftrec.experiments.presets import PRESETS, Baseline, Learner, Preset
from driftrec.experiments.rivals import rival_table
from driftrec.experiments.sweep import CELLS, FULL, RIVALS, Sweep
from driftrec.experiments.sweep_figures import profiles
from driftrec.experiments.sweep_report import write_sweep_report
from driftrec.experiments.sweep_results import (
    advantage_table,
    findings,
    load_sweep,
    profile_table,
    score_tables,
    way,
)

VIDEO, NEWS = "driftrec/Video-v0", "driftrec/News-v0"
SWEEP = Sweep(
    base=Preset(
        name="tiny",
        learners=(Learner("interest-attention", "ppo", 1000),),
        baselines=(
            Baseline("static-interest"),
            Baseline("moving-average"),
            Baseline("discounted-linucb", grid=({"gamma": 0.9}, {"gamma": 0.95})),
            Baseline("oracle"),
        ),
        training_seeds=(1, 2),
        users=40,
        references=("static-interest", "moving-average", "discounted-linucb"),
    ),
    envs=(VIDEO, NEWS),
    strengths=(0.0, 1.0, 2.0),
)
# What an agent gains on a static profile for each unit of drift; the world's other half is worse.
GAIN = {
    "bayes-filter": 0.6,
    "interest-attention (PPO)": 0.4,
    "discounted-linucb": 0.2,
    "moving-average": 0.1,
}


def fake_run(job: Job, folder: Path) -> Mapping[str, Any]:
    """In Video agents gain with drift; in News nobody ever does."""
    cell, _, name = job.name.split("/", 2)
    strength = float(cell.partition("drift")[2]) if cell.startswith("Video") else 0.0
    if job.kind == "tune":
        best = 0.5 * (1 + GAIN[job.spec["agent"]] * strength)
        return {"best": job.spec["grid"][1], "grid": job.spec["grid"], "scores": [0.1, best]}
    if job.kind == "train":
        config = {"train": dict(job.spec), "world": {}, "versions": {}}
        write_json(folder / job.name / "config.json", config)
        write_text(
            folder / job.name / "metrics.csv", "steps,seconds,validation_score\n0,0,1\n9,1,2\n"
        )
        return {"score": 0.5}
    rng = np.random.default_rng(job.spec["seed"] + sum(map(ord, name)))
    users = np.linspace(0.3, 0.7, job.spec["users"])  # the same in every cell
    level = 1.0 if job.spec["agent"] == "oracle" else users
    level = level * (1 + GAIN.get(job.spec["label"], 0.0) * strength)
    rewards = (level + rng.normal(0, 0.05, (30, job.spec["users"]))).astype(np.float32)
    result = EvaluationResult(
        job.spec["label"], job.spec["env"], job.spec["seed"], rewards, np.zeros_like(rewards, bool),
        rewards, np.ones_like(rewards), rewards[0], 0.25, 1.0,
    )  # fmt: skip
    result.save(folder / f"{job.name}.npz")
    return {"score": float(result.score.mean())}


def fill(out: Path, sweep: Sweep) -> None:
    for cell in sweep.cells():
        claim_folder(cell.preset, out / CELLS / cell.name / JOBS)
        for job in cell.jobs():
            run_job(fake_run, job, out / CELLS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sweep")
    fill(out, SWEEP)
    return out


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return advantage_table(load_sweep(folder))


# --- the grid -----------------------------------------------------------------------------------


def test_the_full_grid_begins_without_drift_and_its_users_are_the_same_everywhere() -> None:
    cells = FULL.cells()
    assert len(cells) == 12 and len({cell.name for cell in cells}) == 12
    assert {cell.strength for cell in cells} >= {0.0, 1.0}
    jobs = [job for cell in cells for job in cell.jobs()]
    names = {job.name for job in jobs}
    assert len(names) == len(jobs) and all(names.issuperset(job.needs) for job in jobs)
    tests = [job.spec for job in jobs if "/evaluate/" in job.name]
    assert len({(spec["seed"], spec["users"]) for spec in tests}) == 1
    assert {spec["agent"] for spec in tests} == {
        "interest-attention", "static-interest", "moving-average", "discounted-linucb",
        "bayes-filter", "oracle",
    }  # fmt: skip


def test_every_cell_tunes_and_trains_for_itself() -> None:
    for cell in FULL.cells():
        for job in cell.jobs():
            assert job.spec["env"] == cell.env
            assert job.spec["env_options"] == {"drift_strength": cell.strength}
            assert all(need.startswith(f"{cell.name}/") for need in job.needs)


def test_a_sweep_is_restricted_to_what_is_asked_for() -> None:
    few = FULL.restricted((NEWS,), (2.0, 0.0))
    assert [cell.name for cell in few.cells()] == ["News-v0-drift0", "News-v0-drift2"]
    assert FULL.restricted() == FULL
    with pytest.raises(UserError, match="drift_strength must be given to a sweep by --strength"):
        FULL.with_options({"drift_strength": 3.0})
    kept = few.with_options({"horizon": 9}).cells()[1]
    assert kept.preset.env_options == {"horizon": 9, "drift_strength": 2.0}


@pytest.mark.parametrize(
    ("envs", "strengths", "message"),
    [
        (("driftrec/Radio-v0",), (), "env must be one of"),
        ((NEWS, NEWS), (), "envs must be given, each once"),
        ((), (1.0, 1.0), "strengths must be given, each once"),
        ((), (-1.0,), r"strengths must be >= 0, got \[-1.0\]"),
        ((), (float("nan"),), "strengths must be >= 0"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(envs: Any, strengths: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        FULL.restricted(envs, strengths)


# --- what is found ------------------------------------------------------------------------------


def test_the_advantage_grows_where_it_grows(table: pd.DataFrame) -> None:
    video = table[(table["env"] == VIDEO) & (table["role"] == "flagship")]
    assert video["strength"].tolist() == [0, 1, 2]
    assert video["advantage"].to_numpy() == pytest.approx([0.0, 0.4, 0.8], abs=0.03)
    assert (video["low"] <= video["advantage"]).all() and (video["low"] < video["high"]).all()
    assert video["difference"].to_numpy() == pytest.approx([0.0, 0.2, 0.4], abs=0.03)
    news = table[table["env"] == NEWS]
    assert news["advantage"].abs().max() < 0.03


def test_the_best_bandit_is_chosen_on_the_validation_users(folder: Path, tmp_path: Path) -> None:
    few = SWEEP.restricted((VIDEO,), (1.0,))
    fill(tmp_path, few)
    (cell,) = load_sweep(tmp_path).cells
    assert cell.bandit.agent == "discounted-linucb"
    path = tmp_path / CELLS / few.cells()[0].name / JOBS / "tune" / "discounted-linucb.json"
    write_json(path, read_json(path) | {"scores": [0.1, 0.2]})  # though best on the test users
    assert load_sweep(tmp_path).cells[0].bandit.agent == "moving-average"


def test_a_finding_says_what_the_intervals_say(table: pd.DataFrame) -> None:
    news, video = findings(table)
    assert video.startswith(
        "driftrec/Video-v0: the advantage of interest-attention (PPO) over static-interest grows "
        "with drift: "
    )
    shares = [float(found) for found in re.findall(r"([+-][\d.]+)% \[", video)]
    assert shares == pytest.approx([0, 40, 80, 0, 20, 40], abs=3)
    assert " without drift, +" in video and " at the preset's drift, +" in video
    assert "at 2 times the preset's drift; that of the best bandit (discounted-linucb) " in video
    assert "is not seen to change with drift: " in news and "grows" not in news


def test_a_finding_can_go_the_other_way(table: pd.DataFrame) -> None:
    fallen = table.assign(strength=2 - table["strength"]).sort_values("strength")
    assert "shrinks with drift: +" in findings(fallen)[1]


def test_what_is_largest_in_between_is_not_said_to_grow(table: pd.DataFrame) -> None:
    turned = table.assign(strength=table["strength"].map({0: 0, 1: 2, 2: 1}))
    video = findings(turned)[1]
    assert "is larger with drift, and largest at the preset's drift: " in video
    assert "grows" not in video


def test_one_strength_is_told_without_a_trend(table: pd.DataFrame) -> None:
    video = findings(table[table["strength"] == 1])[1]
    assert "over static-interest is +" in video and "drift:" not in video


def test_the_way_to_the_filter_is_told_where_it_took_part(table: pd.DataFrame) -> None:
    assert table["way"].isna().all()  # it did not, in these cells
    floor, half, end = (SimpleNamespace(scores=np.full((1, 40), v), strata=None) for v in (1, 2, 3))
    assert way(half, floor, end) == {"way": 0.5, "way_low": 0.5, "way_high": 0.5}
    assert np.isnan(way(half, end, floor)["way"]) and np.isnan(way(half, floor, None)["way"])


def test_profiles_are_measured_by_the_oracle(folder: Path) -> None:
    profile = profile_table(load_sweep(folder))
    oracle = profile[(profile["agent"] == "oracle") & (profile["strength"] == 0)]
    assert oracle.loc[oracle["threshold"] < 0.9, "share"].eq(1).all()
    assert oracle.loc[oracle["threshold"] > 1.1, "share"].eq(0).all()
    falls = profile.groupby(["strength", "agent"])["share"].diff().dropna()
    assert (falls <= 0).all()
    level = profile[(profile["strength"] == 2) & np.isclose(profile["threshold"], 0.7)]
    level = level.set_index("agent")["share"]
    assert level["interest-attention (PPO)"] > level["static-interest"]


def test_agents_are_told_apart_in_the_profiles(folder: Path) -> None:
    table = profile_table(load_sweep(folder))
    rival = table[table["agent"] == "oracle"].assign(agent="bayes-filter")
    figure = profiles(pd.concat([rival, table]))
    assert len(figure.axes) >= 3
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == table["agent"].nunique() + 1


# --- the folder ---------------------------------------------------------------------------------


def test_the_report_holds_findings_table_and_figures(folder: Path) -> None:
    report = write_sweep_report(load_sweep(folder))
    assert len(report.findings) == 2 and len(report.scores) == 6 * 5
    text = (folder / "report.md").read_text()
    assert text.index("- driftrec/News-v0: ") < text.index("## Scores")
    assert "| Video-v0 | 1 | " in text and "driftrec/Video-v0, drift 2" in text
    assert (folder / "report.html").read_text().count("data:image/png;base64,") == 2
    advantages = pd.read_csv(folder / "advantages.csv")
    assert len(advantages) == 12 and set(advantages["role"]) == {"flagship", "bandit"}
    assert len(pd.read_csv(folder / "scores.csv")) == 30


def test_the_readmes_blocks_are_made_from_a_sweeps_report(folder: Path, readme: Any) -> None:
    write_sweep_report(load_sweep(folder))
    report = (folder / "report.md").read_text()
    assert readme.findings(report).count("\n- driftrec/Video-v0: the advantage of ") == 1
    rows = readme.advantages(report).splitlines()
    assert len(rows) == 2 + 6 and rows[1].startswith("| --- | ---: |")
    assert rows[0].startswith("| environment | drift |") and rows[-1].startswith("| Video-v0 | 2 |")


def test_plot_draws_a_sweep_and_its_cells(folder: Path, tmp_path: Path) -> None:
    drawn = plot([folder, folder / CELLS / "Video-v0-drift2"], tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in drawn}
    assert f"{folder.name}/advantage.png" in names and "Video-v0-drift2/scores.png" in names
    assert all(path.is_file() for path in drawn)


def test_cells_that_are_unfinished_are_named_and_left_out(tmp_path: Path) -> None:
    fill(tmp_path, SWEEP.restricted((VIDEO,), (0.0, 1.0)))
    (tmp_path / CELLS / "Video-v0-drift1" / JOBS / "evaluate" / "oracle-users0.json").unlink()
    results = load_sweep(tmp_path)
    assert [cell.strength for cell in results.cells] == [0.0]
    assert results.unfinished == ("Video-v0-drift1",)
    write_sweep_report(results)
    assert "| not finished, left out | Video-v0-drift1 |" in (tmp_path / "report.md").read_text()


def test_a_folder_without_a_finished_cell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no finished cell of a sweep"):
        load_sweep(tmp_path)


def test_a_cell_without_a_static_profile_is_refused(tmp_path: Path) -> None:
    base = dataclasses.replace(SWEEP.base, baselines=SWEEP.base.baselines[1:])
    fill(tmp_path, dataclasses.replace(SWEEP, base=base).restricted((VIDEO,), (0.0,)))
    with pytest.raises(UserError, match="has no static-interest to compare"):
        advantage_table(load_sweep(tmp_path))
    assert len(score_tables(load_sweep(tmp_path))) == 4


# --- every agent beside the flagship --------------------------------------------------------------


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in which the flagship has a rival that gains as little as a moving average does."""
    learners = (*SWEEP.base.learners, Learner("gru", "ppo", 1000))
    baselines = (*SWEEP.base.baselines, Baseline("bayes-filter"))
    base = dataclasses.replace(SWEEP.base, learners=learners, baselines=baselines)
    out = tmp_path_factory.mktemp("contest")
    fill(out, dataclasses.replace(SWEEP, base=base).restricted((VIDEO, NEWS), (1.0,)))
    return out


def test_the_flagship_leads_whoever_gains_less_and_is_level_with_itself(contest: Path) -> None:
    table = rival_table(load_sweep(contest)).set_index(["env", "agent"])
    rival, own = table.loc[VIDEO, "gru (PPO)"], table.loc[VIDEO, "interest-attention (PPO)"]
    assert rival["lead_low"] > 0 and rival["ahead"] > 0.9 and rival["way"] < own["way"]
    assert own["lead"] == own["lead_low"] == 0 and own["seeds"] == 2
    assert table.loc[VIDEO, "oracle"]["lead_high"] < 0
    assert {"recovery", "level"} < set(table.columns)
    level = table.loc[NEWS, "gru (PPO)"]
    assert level["lead_low"] < 0 < level["lead_high"]


def test_the_report_of_a_contest_ranks_all_agents(contest: Path, readme: Any) -> None:
    write_sweep_report(load_sweep(contest))
    report = (contest / "report.md").read_text(encoding="utf-8")
    rows = readme.rivals(report).splitlines()
    assert rows[0].startswith("| agent | News-v0, drift 1 | Video-v0, drift 1 |")
    assert rows[2].startswith("| oracle |")  # whoever comes furthest is named first
    assert any(row.startswith("| gru (PPO) |") for row in rows)
    assert "gru (PPO)" in set(pd.read_csv(contest / "rivals.csv")["agent"])
    assert "Way to the filter" in (contest / "report.html").read_text(encoding="utf-8")
    assert not list(contest.parent.glob("sweep*/rivals.csv"))


@pytest.mark.parametrize(
    "preset", [RIVALS.base, PRESETS["ablations"], PRESETS["conditioning"]], ids=lambda p: p.name
)
def test_jobs_of_a_contest_have_names_and_options_that_hold(preset: Preset) -> None:
    names = [job.name for job in jobs_of(preset)]
    assert len(set(names)) == len(names)
    assert len({learner.label for learner in preset.learners}) == len(preset.learners)
    for learner in preset.learners:
        known = default_options(learner.agent, learner.algo)
        assert set(learner.options) <= set(known), learner.label
