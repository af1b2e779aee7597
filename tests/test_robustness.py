"""Facts about what a robustness run trains and evaluates, and what it makes of the scores."""

from __future__ import annotations

import numpy as np
import pytest

from driftrec.experiments.errors import UserError
from driftrec.experiments.files import write_json
from driftrec.experiments.grid import SETTINGS, Job
from driftrec.experiments.robustness import (
    BASELINES,
    BOTS,
    REGIMES,
    SPOILED,
    RobustnessConfig,
    evaluations,
    run,
    trainings,
)
from driftrec.experiments.robustness_report import findings, tables, write_report

CONFIG = RobustnessConfig(users=40)
FLAGSHIP = CONFIG.agent


@pytest.fixture
def folder(tmp_path):
    """A run whose every score is 2, but for a few that say what breaks."""
    levels = {
        "drift/none/twice": 1.0,
        "drift/static-interest/none": 3.0,
        f"feedback/{FLAGSHIP}/inverted:0.3": 0.5,
        "feedback/discounted-linucb/inverted:0.3": 1.5,
    }
    noise = np.random.default_rng(0).normal(0, 0.05, CONFIG.users)
    for job in evaluations(CONFIG):
        scores = levels.get(job.name, 2.0) + noise
        path = tmp_path / "runs" / "scores" / f"{job.name}.json"
        write_json(path, {"scores": scores.tolist(), "stayed": 50.0})
    for name in REGIMES:
        steps = {"best_step": 0 if name == "gradual" else 10}
        write_json(tmp_path / "runs" / "train" / f"drift-{name}.json", steps)
    write_json(tmp_path / "runs" / SETTINGS, {"settings": {}, "git_commit": "x"})
    return tmp_path


def test_every_pair_of_regimes_is_met_by_agents_that_are_trained():
    trained = {job.name: job for job in trainings(CONFIG)}
    rated = {job.name: job for job in evaluations(CONFIG)}
    for ours in REGIMES:
        for theirs in REGIMES:
            job = rated[f"drift/{ours}/{theirs}"]
            assert job.needs == (f"train/drift-{ours}",)
            assert job.spec["env_options"] == REGIMES[theirs]
            assert trained[job.needs[0]].spec["env_options"] == REGIMES[ours]
    for feedback in BOTS:  # honest users are served by those who were trained among bots
        job = rated[f"bots/{FLAGSHIP}/{feedback}"]
        assert "feedback" not in job.spec["env_options"]
        options = trained[job.needs[0]].spec
        assert options["env_options"]["feedback"] == feedback
        assert not options["learner_options"]["privileged"]
    assert {need for job in rated.values() for need in job.needs} == set(trained)
    for agent in (*BASELINES, FLAGSHIP):
        for feedback in SPOILED:
            assert f"feedback/{agent}/{feedback}" in rated


def test_a_change_is_beside_the_agent_that_was_trained_there(folder):
    drift, feedback, bots = tables(CONFIG, folder / "runs")
    broken = drift.at("none", "twice")
    assert broken.change[0] == pytest.approx(-0.5, abs=0.02)
    assert broken.change[1] <= broken.change[0] <= broken.change[2] < -0.4
    assert drift.at("twice", "twice").change == (0, 0, 0)
    assert drift.at("static-interest", "none").change[0] == pytest.approx(0.5, abs=0.02)
    assert feedback.at(FLAGSHIP, "inverted:0.3").change[0] == pytest.approx(-0.75, abs=0.02)
    assert all(cell.change == (0, 0, 0) for cell in bots.cells)


def test_the_report_says_what_breaks(folder):
    lines = findings(tables(CONFIG, folder / "runs"))
    assert "in 1 of 25 cells; none in twice: -50%" in lines[0]
    assert "in 1 of 7 cells" in lines[1] and "in 0 of 3 cells" in lines[2]
    (static,) = [line for line in lines if "not above static-interest" in line]
    assert "gradual in none" in static and "none in twice" in static
    (inverted,) = [line for line in lines if line.startswith("Feedback inverted:0.3")]
    assert f"{FLAGSHIP} -75%" in inverted and "discounted-linucb -25%" in inverted
    told = write_report(CONFIG, list(evaluations(CONFIG)), folder)
    kept = "Validation kept the start, before any training, under gradual."
    assert told == [*lines, kept]
    text = (folder / "report.md").read_text()
    assert "| none | 2.0" in text and "1.00 (-50%)" in text
    assert (folder / "robustness.png").stat().st_size > 20_000
    assert (folder / "robustness.json").is_file()


def test_a_job_scores_the_same_users_with_and_without_spoiled_feedback(tmp_path):
    small = {"slate_size": 3, "horizon": 8, "history": 4}
    spec = {"agent": "moving-average", "env": CONFIG.env, "users": 12, "env_options": small}
    job = Job("scores/a", "evaluate", spec)
    true = run(job, tmp_path)
    assert len(true["scores"]) == 12 and true == run(job, tmp_path)
    told = {**spec, "env_options": {**small, "feedback": "lost:1"}}
    assert run(Job("scores/b", "evaluate", told), tmp_path) != true


def test_an_impossible_size_is_named():
    with pytest.raises(UserError, match="users must be at least 1, got 0"):
        RobustnessConfig(users=0)
