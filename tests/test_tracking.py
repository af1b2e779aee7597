"""Facts about trackers: they get what TensorBoard gets, without a network, and fail aloud."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from driftrec.experiments import tracking
from driftrec.experiments.callbacks import Validation
from driftrec.experiments.errors import UserError
from driftrec.experiments.tracking import TRACKERS, Tracker, flattened, open_trackers
from driftrec.experiments.train import TrainConfig, resume, train

CONFIG = TrainConfig(
    out="",
    agent="gru",
    steps=240,
    num_envs=8,
    env_options={"slate_size": 3, "history": 5, "horizon": 10},
    learner_options={"hidden": 16},
    validations=3,
    validation_users=8,
)
needs_wandb = pytest.mark.skipif(
    not find_spec("wandb"), reason="the extra 'wandb' is not installed"
)
needs_mlflow = pytest.mark.skipif(
    not all(find_spec(name) for name in ("mlflow", "sqlalchemy", "alembic")),
    reason="the extra 'mlflow' is not installed",
)


class Notebook(Tracker):
    """Notes what it is told."""

    told: list[tuple[str, Any]]
    fails_at: int = -1

    def __init__(self, folder: Path, settings: Mapping[str, Any], known: str | None) -> None:
        self.id = "page 1"
        type(self).told = [("begin", (folder, settings["train"]["steps"], known))]

    def log(self, values: Mapping[str, float], step: int) -> None:
        if step == self.fails_at:
            raise ConnectionError("the wire is cut")
        self.told.append((str(step), dict(values)))

    def finish(self, status: str) -> None:
        self.told.append(("finish", status))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[Notebook]:
    kind = type("Notebook", (Notebook,), {})
    monkeypatch.setitem(TRACKERS, "notebook", kind)
    return kind


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def validation_scores(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["validation_score"]) for row in csv.DictReader(file)]


def test_a_tracker_gets_every_validation_and_how_it_ended(
    tmp_path: Path, notebook: type[Notebook]
) -> None:
    train(replace(CONFIG, out=str(tmp_path / "a"), track=("notebook",)))
    (begin, about), *logged, (end, status) = notebook.told
    assert (begin, about) == ("begin", (tmp_path / "a", 240, None))
    assert (end, status) == ("finish", "finished")
    scores = [values["validation/score"] for _, values in logged if "validation/score" in values]
    assert scores == validation_scores(tmp_path / "a") and len(scores) == 4
    assert any("train/value_loss" in values for _, values in logged)
    assert [path.name for path in tmp_path.glob("a/events.*")]  # TensorBoard all the same


def test_an_interrupted_run_goes_on_as_the_same_run_of_the_tracker(
    tmp_path: Path, notebook: type[Notebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(self: Validation) -> bool:
        if self.num_timesteps >= 160:
            raise KeyboardInterrupt
        return True

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "_on_step", press)
        train(replace(CONFIG, out=str(tmp_path / "a"), track=("notebook",)))
    assert notebook.told[-1] == ("finish", "interrupted")
    resume(tmp_path / "a")
    assert notebook.told[0] == ("begin", (tmp_path / "a", 240, "page 1"))
    assert notebook.told[-1] == ("finish", "finished")


def test_a_tracker_that_fails_midway_is_left_out_aloud_and_the_training_goes_on(
    tmp_path: Path, notebook: type[Notebook]
) -> None:
    notebook.fails_at = 80
    said = r"tracker notebook failed at 80 user-steps and is left out .*: the wire is cut"
    with pytest.warns(RuntimeWarning, match=said):
        result = train(replace(CONFIG, out=str(tmp_path / "a"), track=("notebook",)))
    assert result.steps == 240 and len(validation_scores(tmp_path / "a")) == 4
    assert [what for what, _ in notebook.told] == ["begin", "0"]


def test_a_tracker_that_does_not_start_is_an_error_before_training(
    tmp_path: Path, notebook: type[Notebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Notebook):
        def __init__(self, *args: Any) -> None:
            raise PermissionError("no key")

    class Absent(Notebook):
        package = "no-such-package"

        def __init__(self, *args: Any) -> None:
            import no_such_package  # noqa: F401

    monkeypatch.setitem(TRACKERS, "broken", Broken)
    monkeypatch.setitem(TRACKERS, "absent", Absent)
    settings: dict[str, Any] = {"train": {"steps": 1}}
    with pytest.raises(UserError, match="track broken did not start: PermissionError: no key"):
        open_trackers(["notebook", "broken"], tmp_path, settings)
    assert notebook.told[-1] == ("finish", "failed")
    needed = r"track absent needs no-such-package: pip install 'driftrec\[absent\]'"
    with pytest.raises(UserError, match=needed):
        train(replace(CONFIG, out=str(tmp_path / "a"), track=("absent",)))
    assert not (tmp_path / "a" / "config.json").exists()  # the folder is free for another try
    with pytest.raises(UserError, match=r"track must be one of wandb, mlflow.*, got 'aim'"):
        replace(CONFIG, track=("aim",))


def test_settings_are_flattened_under_names_with_dots() -> None:
    assert flattened({"a": 1, "b": {"c": [2], "d": {"e": None}}}) == {
        "a": 1,
        "b.c": [2],
        "b.d.e": None,
    }
    assert tracking.PROJECT == "driftrec"


@needs_wandb
def test_weights_and_biases_writes_an_offline_run(tmp_path: Path) -> None:
    opened = open_trackers(["wandb"], tmp_path, {"train": {"agent": "gru"}})
    opened[0].write({"validation/score": 0.625}, {}, 80)
    opened[0].finish("finished")
    (run,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    words, end = (b"validation/score", b"0.625", b"gru"), time.monotonic() + 300
    while not all(word in run.read_bytes() for word in words):  # written by a process of its own
        assert time.monotonic() < end
        time.sleep(0.1)
    known = json.loads((tmp_path / "trackers.json").read_text())
    assert run.stem == f"run-{known['wandb']}"


@needs_mlflow
def test_mlflow_writes_a_database_beside_the_run(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    folder = tmp_path / "a"
    folder.mkdir()
    settings = {"train": {"agent": "gru", "options": {"hidden": 16}}}
    (opened,) = open_trackers(["mlflow"], folder, settings)
    opened.write({"validation/score": 0.5, "note": "no number"}, {}, 0)
    opened.finish("interrupted")
    (opened,) = open_trackers(["mlflow"], folder, settings)  # goes on with the same run
    opened.write({"validation/score": 0.625}, {}, 80)
    opened.finish("finished")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run_id = json.loads((folder / "trackers.json").read_text())["mlflow"]
    run = client.get_run(run_id)
    history = client.get_metric_history(run_id, "validation/score")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (80, 0.625)]
    assert run.data.params == {"train.agent": "gru", "train.options.hidden": "16"}
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a")
