"""Facts about a benchmark's jobs, tables, findings, figures and report, on made-up sessions."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from driftrec.experiments import figures, interest_figures, presets
from driftrec.experiments.benchmark import JOBS, jobs_of
from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import EvaluationResult
from driftrec.experiments.files import own_folders, write_json, write_text
from driftrec.experiments.grid import Job, claim, run_job
from driftrec.experiments.plot import plot
from driftrec.experiments.presets import Baseline, Learner, Preset
from driftrec.experiments.report import beside, compare, findings, sign, write_report
from driftrec.experiments.results import (
    AgentResults,
    BenchmarkResults,
    load_benchmark,
    preset_of,
    recovery_table,
    run_folders,
    run_labels,
    score_table,
    training_curves,
)
from driftrec.experiments.statistics import Interval

PRESET = Preset(
    name="tiny",
    learners=(Learner("interest-attention", "ppo", 1000),),
    baselines=(
        Baseline("static-interest"),
        Baseline("discounted-linucb", grid=({"gamma": 0.9}, {"gamma": 0.95})),
        Baseline("oracle"),
    ),
    training_seeds=(1, 2, 3),
    env_options={"catalog": "/somewhere/of/mine/films"},
    users=40,
    blocks=2,
)
LEVEL = {"static-interest": 0.3, "discounted-linucb": 0.5, "oracle": 0.9}
WORLD = {
    "env": PRESET.env, "catalog": "video", "catalog_hash": "ab", "num_items": 1000,
    "slate_size": 10, "history": 50, "horizon": 60,
}  # fmt: skip


def made_up(label: str, level: float, seed: int) -> EvaluationResult:
    """Users with levels of their own, who lose half for eight steps after a shift."""
    rng = np.random.default_rng(seed)
    rewards = level + rng.normal(0, 0.05, (60, PRESET.users)) + np.linspace(-0.1, 0.1, PRESET.users)
    shifts = np.zeros_like(rewards, bool)
    shifts[29, ::2] = True
    rewards[30:38, ::2] *= 0.5
    return EvaluationResult(
        label, PRESET.env, seed, rewards.astype(np.float32), shifts,
        rewards.astype(np.float32), np.ones_like(rewards, np.float32),
        np.full(PRESET.users, 0.4, np.float32), 0.25, 1.0,
        topic_entropy=np.full(PRESET.users, level, np.float32),
    )  # fmt: skip


def fake_run(job: Job, folder: Path) -> Mapping[str, Any]:
    if job.kind == "tune":
        return {"best": job.spec["grid"][1], "grid": job.spec["grid"], "scores": [0.1, 0.2]}
    if job.kind == "train":
        config = {"train": dict(job.spec), "world": WORLD, "versions": {"driftrec": "0.1.0"}}
        write_json(folder / job.name / "config.json", config)
        rows = [f"{s},{s / 100},{0.4 + s / 1e4 + job.spec['seed'] / 100}" for s in (0, 500, 1000)]
        text = "\n".join(["steps,seconds,validation_score", *rows])
        write_text(folder / job.name / "metrics.csv", text + "\n")
        return {"score": 0.5}
    result = made_up(job.spec["label"], LEVEL.get(job.spec["agent"], 0.6), job.spec["seed"] % 97)
    result.save(folder / f"{job.name}.npz")
    return {"score": float(result.score.mean())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark")
    settings = PRESET.settings() | {"world": WORLD}
    record = {"versions": {"driftrec": "0.1.0"}, "git_commit": "abc", "hardware": "9 cores"}
    claim(out / JOBS, settings, record)
    for job in jobs_of(PRESET):
        run_job(fake_run, job, out / JOBS)
    return out


def test_every_agent_meets_the_same_test_users_who_are_no_one_elses() -> None:
    jobs = jobs_of(PRESET)
    tests = [j.spec for j in jobs if j.name.startswith("evaluate/")]
    others = {j.spec["seed"] for j in jobs if not j.name.startswith("evaluate/")}
    agents = {spec["label"] for spec in tests}
    assert len(agents) == 4 and len(tests) == 2 * (3 + 3)
    for label in agents:
        seeds = {s["seed"] for s in tests if s["label"] == label}
        assert len(seeds) == 2 and not seeds & others


def test_jobs_need_only_jobs_that_exist_and_specs_are_plain() -> None:
    jobs = jobs_of(PRESET)
    names = {job.name for job in jobs}
    assert len(names) == len(jobs)
    assert all(names.issuperset(job.needs) for job in jobs)
    json.dumps([dict(job.spec) for job in jobs])


def test_settings_ignore_what_does_not_decide_results() -> None:
    slower = dataclasses.replace(
        PRESET, learners=(dataclasses.replace(PRESET.learners[0], seconds=9),), description="x"
    )
    assert slower.settings() == PRESET.settings()
    longer = dataclasses.replace(PRESET.learners[0], steps=2000)
    assert dataclasses.replace(PRESET, learners=(longer,)).settings() != PRESET.settings()


def test_settings_survive_json() -> None:
    settings = json.loads(json.dumps(PRESET.settings() | {"world": WORLD}))
    assert preset_of(settings).settings() == PRESET.settings()


def test_a_training_at_another_commit_is_told(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(folder, out)
    assert load_benchmark(out).git_commit == "abc"
    path = next((out / JOBS / "train").glob("*/config.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"git_commit": "def"}))
    assert load_benchmark(out).git_commit == "abc; trainings at def"


def test_score_table_is_sorted_and_normalized(folder: Path) -> None:
    table = score_table(load_benchmark(folder)).set_index("agent")
    assert list(table.index) == [
        "oracle", "interest-attention (PPO)", "discounted-linucb", "static-interest",
    ]  # fmt: skip
    assert table.loc["static-interest", "normalized"] == 0
    assert table.loc["oracle", "normalized"] == 1
    assert table.loc["interest-attention (PPO)", "normalized"] == pytest.approx(0.5, abs=0.02)
    assert (table["low"] < table["score"]).all() and (table["score"] < table["high"]).all()
    assert table["training_seeds"].tolist() == [1, 3, 1, 1]
    assert (table["recovery_steps"] == 8).all()


def test_recovery_table_shows_the_dip(folder: Path) -> None:
    table = recovery_table(load_benchmark(folder)).query("agent == 'oracle'").set_index("offset")
    assert table.loc[0:7, "share"].mean() == pytest.approx(0.45, abs=0.02)
    assert table.loc[-10:-1, "share"].mean() == pytest.approx(0.9, abs=0.02)
    assert (table["shifts"] == PRESET.users).all()  # half of the users of two blocks


def agent_results(label: str, level: float, kind: str = "learned") -> AgentResults:
    return AgentResults(label, label, kind, ((made_up(label, level, 3),),))


@pytest.mark.parametrize(
    ("level", "verdict"),
    [
        (0.6, "ours is above theirs: difference +0.0965, +19.9%"),
        (0.4, "ours is below theirs: difference -0.0"),
    ],
)
def test_findings_tell_the_truth_whichever_way_it_falls(level: float, verdict: str) -> None:
    assert verdict in compare(agent_results("ours", level), agent_results("theirs", 0.5))


def with_learners(results: BenchmarkResults, *added: tuple[str, str]) -> BenchmarkResults:
    """The results as if other networks and variants had been trained and played as the flagship."""
    (flagship,) = (entry for entry in results.agents if entry.kind == "learned")
    ours = results.settings["learners"][0]
    learners = [ours | {"agent": agent, "variant": variant} for agent, variant in added]
    entries = [
        dataclasses.replace(flagship, agent=agent, label=presets.label(agent, "ppo", variant))
        for agent, variant in added
    ]
    settings = results.settings | {"learners": [ours, *learners]}
    return dataclasses.replace(results, settings=settings, agents=(*results.agents, *entries))


def test_other_networks_are_opponents_of_the_flagship(folder: Path) -> None:
    told = findings(with_learners(load_benchmark(folder), ("gru", "")))
    assert [line.split(" is ")[0] for line in told] == ["interest-attention (PPO)"] * 3
    assert "is not told apart from gru (PPO)" in told[-1]


def test_a_variant_meets_who_was_varied_alike(folder: Path) -> None:
    added = ("attention", ""), ("interest-attention", "frozen"), ("attention", "frozen")
    told = findings(with_learners(load_benchmark(folder), *added))
    assert [line.split(": ")[0] for line in told[2:]] == [
        "interest-attention (PPO) is not told apart from attention (PPO)",
        "interest-attention (PPO, frozen) is not told apart from attention (PPO, frozen)",
    ]


def test_an_ablation_is_held_against_the_whole(folder: Path) -> None:
    added = ("attention", "unconditioned"), ("interest-attention", "no RL")
    results = with_learners(load_benchmark(folder), *added)
    told = findings(results)
    assert len(told) == 3 and "apart from attention (PPO, unconditioned)" in told[-1]
    ((heading, table),) = beside(results).items()
    assert heading == "Beside interest-attention (PPO), user by user"
    assert len(table) == 5 and table["agent"].iloc[0] == "oracle"
    row = table.set_index("agent").loc["interest-attention (PPO, no RL)"]
    assert row["difference"] == "+0.000" and row["of its score"] == "+0.0%"
    oracle = table.set_index("agent").loc["oracle"]
    assert float(oracle["difference"]) > 0.1 and oracle["ahead on a user"].startswith("1.00")


def test_a_difference_that_could_be_luck_is_not_claimed() -> None:
    same = agent_results("ours", 0.5)
    assert "ours is not told apart from ours: difference +0.0000" in compare(same, same)


def test_sign_needs_the_whole_interval() -> None:
    cases = [(0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1), (0.0, 0.1)]
    assert [sign(Interval(0, low, high)) for low, high in cases] == [1, -1, 0, 0]


def test_report_is_complete_and_self_contained(folder: Path) -> None:
    report = write_report(load_benchmark(folder))
    names = {"report.md", "report.html", "scores.csv"}
    pictures = {"reward_curves.png", "scores.png", "recovery.png", "slates.png"}
    assert names | pictures <= {p.name for p in folder.iterdir()}
    html = (folder / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 4
    assert not re.search(r'(src|href)="(?!data:)', html)
    markdown = (folder / "report.md").read_text()
    for fact in (
        "is above static-interest", "is above discounted-linucb", "tiny", "80, the same for all",
        "1, 2, 3", "1,000 items", "{'gamma': 0.95}", "driftrec 0.1.0", "abc",
    ):  # fmt: skip
        assert fact in markdown, fact
    assert "catalog=films" in markdown and "somewhere" not in markdown + html
    assert len(report.findings) == 2
    assert pd.read_csv(folder / "scores.csv")["agent"].tolist()[0] == "oracle"
    json.dumps(report.scores, allow_nan=False)


def test_an_unfinished_benchmark_is_not_reported(folder: Path, tmp_path: Path) -> None:
    claim(tmp_path / JOBS, PRESET.settings() | {"world": WORLD}, {"versions": {}})
    with pytest.raises(UserError, match=r"unfinished \(19 of 19 jobs missing"):
        load_benchmark(tmp_path)
    with pytest.raises(UserError, match="holds no benchmark"):
        load_benchmark(tmp_path / "elsewhere")


def test_plot_draws_runs_and_benchmarks(folder: Path, tmp_path: Path) -> None:
    runs = sorted((folder / JOBS / "train").glob("*/"))
    assert plot(runs, tmp_path / "a") == [tmp_path / "a" / "reward_curves.png"]
    both = plot([*runs, folder], tmp_path / "b")
    assert len(both) == 5 and all(path.is_file() for path in both)
    with pytest.raises(UserError, match="neither a run folder nor a benchmark"):
        plot([tmp_path], tmp_path)


def test_slates_are_reported_with_what_evaluations_kept(folder: Path, tmp_path: Path) -> None:
    results = load_benchmark(folder)
    table = score_table(results).set_index("agent")
    assert table.loc["oracle", "topic_entropy"] == pytest.approx(0.9)
    assert table.loc["static-interest", "topic_entropy"] == pytest.approx(0.3)
    *others, last = results.agents
    row = tuple(dataclasses.replace(r, topic_entropy=None) for r in last.sessions[0])
    older = dataclasses.replace(last, sessions=(row,))
    mixed = score_table(dataclasses.replace(results, agents=(*others, older)))
    assert mixed["topic_entropy"].isna().sum() == 1 and mixed["diversity"].notna().all()
    drawn = [interest_figures.slates(t, "x") for t in (table.reset_index(), mixed)]
    assert [len(figure.axes) for figure in drawn] == [3, 2]
    told = {text.get_text() for text in drawn[0].axes[2].texts}
    assert told == {"0.90", "0.60", "0.50", "0.30"}


def test_training_curves_hold_every_seed(folder: Path) -> None:
    curves = training_curves(sorted((folder / JOBS / "train").glob("*/")))
    assert set(curves["seed"]) == {1, 2, 3}
    assert set(curves["agent"]) == {"interest-attention (PPO)"}


def test_what_differs_by_more_than_its_seed_is_another_curve(folder: Path, tmp_path: Path) -> None:
    one, *_ = sorted((folder / JOBS / "train").glob("*/"))
    shutil.copytree(one, tmp_path / "again")
    labels = run_labels([one, tmp_path / "again"])
    assert list(labels.values()) == [
        f"interest-attention (PPO), {name}" for name in (one.name, "again")
    ]
    results = load_benchmark(folder)
    learner = results.settings["learners"][0]
    results.settings["learners"] = [learner | {"variant": "no spread"}]
    assert set(run_folders(results).values()) == {"interest-attention (PPO, no spread)"}


def test_figures_of_folders_that_are_called_alike_lie_apart(tmp_path: Path) -> None:
    alike = [tmp_path / world / "seed-1" for world in ("a", "b")]
    assert [f.name for f in own_folders([*alike, tmp_path / "c"], tmp_path)] == [
        "seed-1-1", "seed-1-2", "c"
    ]  # fmt: skip
    assert own_folders(alike[:1], tmp_path) == [tmp_path]


def test_figures_leave_no_trace_of_their_style() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    curves = pd.DataFrame({"agent": "a", "seed": [1, 1], "steps": [0, 10], "reward": [0.0, 1.0]})
    assert isinstance(figures.reward_curves(curves, {"oracle": 2.0}), Figure)
    assert dict(matplotlib.rcParams) == before


def test_labels_are_pushed_apart_no_further_than_needed() -> None:
    assert figures.spread([0.0, 1.0, 2.0], 0.5) == [0, 1, 2]
    assert figures.spread([1.0, 1.0, 1.0], 0.5) == [0.5, 1.0, 1.5]
    crowded = figures.spread([0.0, 0.1, 0.2, 5.0], 0.5)
    assert np.diff(crowded).min() == pytest.approx(0.5) and crowded[-1] == 5


def test_figures_of_the_same_agents_agree_on_colours() -> None:
    kinds = {"mlp (PPO)": "learned", "gru (PPO)": "learned", "oracle": "bound"}
    given = figures.colors(kinds)
    assert given == figures.colors(dict(reversed(kinds.items()))) and len(set(given.values())) == 3
    assert list(given) == list(kinds) and given["oracle"] == figures.AGENT_COLORS["oracle"]


def test_of_more_agents_than_colours_all_but_those_of_their_own_are_pale() -> None:
    kinds = dict.fromkeys([f"variant {i}" for i in range(9)], "learned")
    given = figures.colors({"interest-attention (PPO)": "learned", "oracle": "bound"} | kinds)
    assert {given[name] for name in kinds} == {figures.CROWD}
    assert given["interest-attention (PPO)"] == figures.AGENT_COLORS["interest-attention (PPO)"]
    assert figures.CROWD not in figures.colors(dict(list(kinds.items())[:5])).values()
