"""Run folders: what a training leaves on disk, and the checks before a model is used again.

A run folder holds ``config.json`` (settings, versions, the world's shape), ``metrics.csv``,
TensorBoard events, ``model.zip`` (best on validation users) and ``last.zip`` (newest).
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import check_writable, read_json
from .worlds import describe

CONFIG = "config.json"
METRICS = "metrics.csv"
MODEL = "model.zip"
LAST = "last.zip"

_PACKAGES = (
    "driftrec",
    "gymnasium",
    "numpy",
    "scipy",
    "stable-baselines3",
    "torch",
    "transformers",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> str:
    """Cores and kind of processor, for wall times."""
    return f"{os.cpu_count()} cores ({platform.machine()})"


def git_commit() -> str | None:
    """Commit of the source tree that runs, with ``+changes`` where it differs; None without git."""
    folder = Path(__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)  # is it this repository?
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def create_run_folder(folder: Path) -> None:
    """Make sure that a new run can be written to ``folder``.

    Raises:
        UserError: where it holds a run already, or cannot be written.
    """
    if (folder / CONFIG).exists():
        raise UserError(f"{folder} already holds a run: choose another --out or remove it")
    check_writable(folder)


def read_run(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a run folder.

    Raises:
        UserError: where the folder holds no finished or interrupted run.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} is no run folder: it has no {CONFIG}")
    config = read_json(folder / CONFIG)
    for key in ("world", "versions", "train"):
        if not isinstance(config.get(key), dict):
            raise UserError(f"{folder / CONFIG} must have a table {key!r}")
    return config


def check_compatible(config: Mapping[str, Any], folder: Path, world: Mapping[str, Any]) -> None:
    """Refuse a model that was trained for another world or by another release.

    Args:
        config: the run's ``config.json``.
        folder: where the run lies, for the message.
        world: what :func:`driftrec.experiments.worlds.describe` says of the environment now.

    Raises:
        UserError: naming what the model expects and what there is.
    """
    trained, installed = config["versions"].get("driftrec", "unknown"), versions()["driftrec"]
    if _release(trained) != _release(installed):
        raise UserError(
            f"the model in {folder} is of driftrec {trained}, this is driftrec {installed}: "
            "train it again, or install that version"
        )
    for key, name in _MUST_AGREE.items():
        if key == "world_seed" and key not in config["world"]:
            continue  # a run of before it was written down
        expected, got = config["world"].get(key), world[key]
        if expected != got:
            raise UserError(
                f"the model in {folder} was trained for {name} {_shown(config['world'], key)}, "
                f"got {name} {_shown(world, key)}"
            )


_MUST_AGREE = {
    "env": "environment",
    "num_items": "number of items",
    "catalog_hash": "catalogue",
    "slate_size": "slate size",
    "history": "history length",
    "world_seed": "world seed",
}


def _shown(world: Mapping[str, Any], key: str) -> str:
    return (
        f"{world.get('catalog')} ({world[key]})" if key == "catalog_hash" else str(world.get(key))
    )


def _release(version: str) -> tuple[str, ...]:
    """Before 1.0 the second number breaks, from then on the first."""
    parts = version.split(".")
    return tuple(parts[:2]) if parts[0] == "0" else tuple(parts[:1])


def load_agent(folder: Path, env: Any, env_id: str) -> Any:
    """Load the best model of a run for use on ``env``, an instance of ``env_id``.

    Raises:
        UserError: where there is no model, it is damaged, or it does not fit ``env``.
    """
    config = read_run(folder)
    check_compatible(config, folder, describe(env_id, env))
    path = folder / MODEL
    if not path.is_file():
        raise UserError(f"{folder} has no {MODEL}: was the training interrupted at its start?")
    from driftrec.agents.learners import load_learner

    try:
        return load_learner(str(path))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"cannot load {path}: {error}") from error
