"""Trackers that get what TensorBoard gets: Weights & Biases and MLflow, both without a network.

Each is an output of Stable-Baselines3's logger, so a tracker is one small class and one line in
``TRACKERS``. TensorBoard is always there and no tracker of this file.
"""

from __future__ import annotations

import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from stable_baselines3.common.logger import KVWriter

from .errors import UserError
from .files import read_json, write_json

PROJECT = "driftrec"
IDS = "trackers.json"
"""File of a run folder: by which id each tracker knows the run."""


class Tracker(ABC):
    """One tracker's run.

    Args:
        folder: the run folder.
        settings: what the run was given, nested plain values.
        known: the tracker's id of the run, where it is gone on with.

    Attributes:
        id: the tracker's id of the run.
    """

    package: ClassVar[str]
    id: str

    @abstractmethod
    def __init__(self, folder: Path, settings: Mapping[str, Any], known: str | None) -> None: ...

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name, after so many user-steps."""

    @abstractmethod
    def finish(self, status: str) -> None:
        """Ends the tracker's run as ``finished``, ``interrupted`` or ``failed``."""


class WandbTracker(Tracker):
    """Weights & Biases, offline unless ``WANDB_MODE`` says otherwise: ``wandb sync`` sends it."""

    package: ClassVar[str] = "wandb"

    def __init__(self, folder: Path, settings: Mapping[str, Any], known: str | None) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            config=dict(settings),
            id=known,
            resume=None if known is None else "allow",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )
        self.id = str(self._run.id)

    def log(self, values: Mapping[str, float], step: int) -> None:  # noqa: D102
        self._run.log(dict(values), step=step)

    def finish(self, status: str) -> None:  # noqa: D102
        self._run.summary["status"] = status
        self._run.finish(exit_code=int(status != "finished"))


class MlflowTracker(Tracker):
    """MLflow, in ``mlflow.db`` beside the run folder unless ``MLFLOW_TRACKING_URI`` says a place.

    Through a client of its own, so that nothing global of MLflow's is set.
    """

    package: ClassVar[str] = "mlflow-skinny"
    _STATUS: ClassVar[Mapping[str, str]] = {"finished": "FINISHED", "interrupted": "KILLED"}

    def __init__(self, folder: Path, settings: Mapping[str, Any], known: str | None) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        # By MLflow's own seven tries a training would wait for minutes for a server that is away.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        beside = folder.resolve().parent
        uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{beside / 'mlflow.db'}")
        self._client = MlflowClient(uri)
        if known is not None:
            self._client.update_run(known, status="RUNNING")
            self.id = known
            return
        found = self._client.get_experiment_by_name(PROJECT)
        files = (beside / "mlartifacts").as_uri()  # MLflow's own choice is the current folder
        experiment = (
            found.experiment_id if found else self._client.create_experiment(PROJECT, files)
        )
        run = self._client.create_run(experiment, run_name=folder.name)
        self.id = str(run.info.run_id)
        flat = flattened(settings)
        self._client.log_batch(self.id, params=[Param(k, str(v)) for k, v in flat.items()])

    def log(self, values: Mapping[str, float], step: int) -> None:  # noqa: D102
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self.id, [Metric(k, v, now, step) for k, v in values.items()])

    def finish(self, status: str) -> None:  # noqa: D102
        self._client.set_terminated(self.id, self._STATUS.get(status, "FAILED"))


TRACKERS: dict[str, type[Tracker]] = {"wandb": WandbTracker, "mlflow": MlflowTracker}


class TrackerOutput(KVWriter):
    """A tracker as an output of Stable-Baselines3's logger.

    A tracker that fails in the midst of a training is left out from then on, with a warning: hours
    of training are worth more than their record, which is in ``metrics.csv`` all the same.

    Args:
        name: of the tracker, for the warning.
        tracker: who gets the numbers.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self._tracker = name, tracker
        self._failed = False

    def write(  # noqa: D102
        self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0
    ) -> None:
        numbers = {k: float(v) for k, v in key_values.items() if not isinstance(v, str)}
        self._guarded(lambda: self._tracker.log(numbers, step), f"at {step:,} user-steps")

    def finish(self, status: str) -> None:
        """Ends the tracker's run."""
        self._guarded(lambda: self._tracker.finish(status), "at the end")

    def close(self) -> None:
        """Nothing: ``finish`` ends the run and says how."""

    def _guarded(self, act: Any, when: str) -> None:
        if self._failed:
            return
        try:
            act()
        except Exception as error:
            self._failed = True
            warnings.warn(
                f"tracker {self.name} failed {when} and is left out from here on: {error}",
                RuntimeWarning,
                stacklevel=2,
            )


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that there are not.

    Raises:
        UserError: with the known ones.
    """
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"track must be one of {', '.join(TRACKERS)}, got {name!r}")


def open_trackers(
    names: Sequence[str], folder: Path, settings: Mapping[str, Any]
) -> list[TrackerOutput]:
    """Begin a run with each tracker, or go on with the one that the run folder knows.

    Args:
        names: of the trackers.
        folder: the run folder.
        settings: what the run was given, nested plain values.

    Raises:
        UserError: where a tracker is unknown, not installed, or does not start; those that had
            started are ended.
    """
    check_trackers(names)
    known = read_json(folder / IDS) if (folder / IDS).is_file() else {}
    opened: list[TrackerOutput] = []
    for name in dict.fromkeys(names):
        try:
            tracker = TRACKERS[name](folder, settings, known.get(name))
        except Exception as error:
            for other in opened:
                other.finish("failed")
            raise UserError(_reason(name, error)) from error
        known[name] = tracker.id
        opened.append(TrackerOutput(name, tracker))
    if opened:
        write_json(folder / IDS, known)
    return opened


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        needed = TRACKERS[name].package
        return f"track {name} needs {needed}: pip install 'driftrec[{name}]' ({error})"
    return f"track {name} did not start: {type(error).__name__}: {error}"


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under names with dots.

    Example:
        >>> flattened({"env": "a", "options": {"history": 5, "more": {}}})
        {'env': 'a', 'options.history': 5}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
