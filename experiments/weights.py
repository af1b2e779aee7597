"""Weights of earlier runs: to start a new learner from, or to go on with one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import UserError
from .runs import MODEL, check_compatible, read_run


def take_weights(learner: Any, folder: Path, agent: str, world: Mapping[str, Any]) -> None:
    """Gives a new learner the best weights of a run; its optimizer begins anew.

    Raises:
        UserError: where the run is of another agent, world or shape, or has no model.
    """
    record = read_run(folder)
    check_compatible(record, folder, world)
    if record["train"]["agent"] != agent:
        raise UserError(
            f"the model in {folder} is of the agent {record['train']['agent']}, got {agent}"
        )
    try:
        learner.policy.load_state_dict(_load(folder / MODEL).policy.state_dict())
    except RuntimeError as error:
        raise UserError(f"the model in {folder} is of another shape: {error}") from error


def saved_learner(path: Path, users: Any) -> Any:
    """The algorithm as it stood at its checkpoint.

    Raises:
        UserError: where the file is damaged or says nothing to go on from.
    """
    learner = _load(path, users)
    if learner.checkpoint is None:
        raise UserError(f"{path} is no checkpoint: it was saved by an older driftrec")
    learner.num_timesteps = learner.checkpoint["steps"]
    return learner


def _load(path: Path, users: Any = None) -> Any:
    from driftrec.agents.learners import load_learner

    try:
        return load_learner(str(path), users)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"cannot load {path}: {error}") from error
