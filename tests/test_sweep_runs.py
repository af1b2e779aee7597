"""A small sweep, run for real: the same numbers after a kill, and on Ray."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from driftrec.experiments.benchmark import wall_seconds
from driftrec.experiments.cli import app
from driftrec.experiments.engines import make_engine
from driftrec.experiments.errors import UserError
from driftrec.experiments.evaluate import EvaluationResult
from driftrec.experiments.grid import read_result
from driftrec.experiments.presets import Baseline, Learner, Preset
from driftrec.experiments.sweep import CELLS, SWEEPS, Sweep, run_sweep

OPTIONS = {"hidden": 16, "layers": 1, "pretrain_steps": 40, "privileged": True}
SWEEP = Sweep(
    base=Preset(
        name="tiny",
        learners=(Learner("interest-attention", "ppo", 80, OPTIONS),),
        baselines=(
            Baseline("static-interest"),
            Baseline("moving-average", grid=({"decay": 0.8}, {"decay": 0.9})),
            Baseline("oracle"),
        ),
        env_options={"history": 5, "slate_size": 3, "horizon": 10},
        training_seeds=(1,),
        num_envs=8,
        validations=1,
        validation_users=8,
        users=12,
        references=("static-interest", "moving-average"),
    ),
    envs=("driftrec/Video-v0",),
    strengths=(0.0, 1.0),
)
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import test_sweep_runs as sweep
if __name__ == "__main__":
    sweep.run_sweep(sweep.SWEEP, Path(sys.argv[1]), workers=1)
"""


def numbers(out: Path) -> dict[str, np.ndarray]:
    """Every score of every user, and what tuning and validation found."""
    found: dict[str, np.ndarray] = {}
    for path in sorted((out / CELLS).rglob("*.npz")):
        found[path.relative_to(out).as_posix()] = EvaluationResult.load(path).score
    for path in sorted((out / CELLS).glob("*/runs/t*/*.json")):
        result = read_result(path.stem, path.parent)
        kept = {k: v for k, v in result.items() if k in ("score", "scores", "best_step")}
        found[path.relative_to(out).as_posix()] = np.hstack(list(kept.values()))
    return found


def assert_same(ours: Path, theirs: Path) -> None:
    left, right = numbers(ours), numbers(theirs)
    assert list(left) == list(right) and len(left) == 2 * 8
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep, never interrupted."""
    out = tmp_path_factory.mktemp("whole")
    assert run_sweep(SWEEP, out, workers=1) == 2 * 8
    return out


def test_drift_moves_the_scores(whole: Path) -> None:
    still, moved = (
        EvaluationResult.load(whole / CELLS / cell / "runs/evaluate/static-interest-users0.npz")
        for cell in ("Video-v0-drift0", "Video-v0-drift1")
    )
    assert still.seed == moved.seed and not np.array_equal(still.score, moved.score)


def test_a_killed_sweep_ends_with_the_same_numbers(whole: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent)))
    process = subprocess.Popen([sys.executable, str(script), str(out)], start_new_session=True)
    deadline = time.monotonic() + 600  # where the machine is slow, nothing else is to fail
    while not list((out / CELLS).rglob("train/*.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # the workers too, wherever they are
    process.wait()
    before = wall_seconds(out / CELLS)
    assert 0 < run_sweep(SWEEP, out, workers=1) < 2 * 8
    assert wall_seconds(out / CELLS) > before
    assert_same(out, whole)


def test_ray_gives_the_same_numbers_by_two_workers(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    assert run_sweep(SWEEP, tmp_path, workers=2, engine=make_engine("ray")) == 2 * 8
    assert_same(tmp_path, whole)


def test_what_is_there_is_not_done_again(whole: Path) -> None:
    assert run_sweep(SWEEP, whole, workers=0) == 0
    assert run_sweep(SWEEP.restricted(strengths=(1.0,)), whole, workers=0) == 0
    with pytest.raises(UserError, match=r"Video-v0-drift1/runs holds results of other settings"):
        run_sweep(SWEEP.with_options({"horizon": 11}).restricted(strengths=(1.0,)), whole)


def test_the_command_restricts_and_reports(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SWEEPS, "full", SWEEP)
    still = tmp_path / CELLS / "Video-v0-drift0"
    shutil.copytree(whole / CELLS / still.name, still)
    command = ["benchmark", "--preset", "full", "--strength", "0", "--workers", "0", "--json"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [line.split(":")[0] for line in answer["findings"]] == ["driftrec/Video-v0"]
    assert {row["strength"] for row in answer["scores"]} == {0.0}
    assert (tmp_path / "advantage.png").is_file()
    assert [path.name for path in (tmp_path / CELLS).glob("*/")] == [still.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--strength 0 --strength 1", "preset demo takes one environment and one drift"),
        ("--env driftrec/News-v0 --env driftrec/Video-v0", "preset demo takes one environment"),
        ("--preset full --settings x", "settings are tuned for one environment"),
        ("--preset full --strength -1", "strengths must be >= 0, got [-1.0]"),
        ("--engine dask", "engine must be one of local, ray, got 'dask'"),
        ("--address auto", "address needs engine ray"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    tmp_path: Path, arguments: str, message: str
) -> None:
    done = CliRunner().invoke(app, ["benchmark", *arguments.split(), "--out", str(tmp_path / "x")])
    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "x").exists()
