"""Figures of trained models at work: their runs beside agents that need no training.

All serve the same users, whom no training has met; nobody leaves, so that agents are compared on
the same users at every request.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from driftrec import agents

from . import interest_figures as draw
from .attending import attends, attention_table
from .figures import save
from .files import own_folders
from .following import Followed, follow
from .presets import KINDS
from .results import mean_entropy, run_labels
from .runs import MODEL, load_agent, read_run
from .seeds import test_users
from .worlds import NAMESPACE, check_env_id, make_batch

FOLLOWED = ("static-interest", "discounted-linucb", "bayes-filter", "oracle")
MOVING = ("random", "static-interest", "discounted-linucb")
_LEARNED = "learned"

Tracks = Mapping[str, Sequence[Followed]]  # by the agent's name, one a training seed


def write_portraits(runs: Sequence[Path], out: Path, users: int = 100) -> list[Path]:
    """Draw what models do with interests: a set of figures for each world that they know.

    Args:
        runs: run folders; those without a model, or of others' environments, are passed over.
        out: where the figures go; of several worlds each gets a folder, see ``own_folders``.
        users: who are served.

    Returns:
        The files written.
    """
    worlds: dict[str, list[Path]] = defaultdict(list)
    for run in runs:
        trained = read_run(run)["train"]
        if (run / MODEL).is_file() and trained["env"].startswith(NAMESPACE):
            world = json.dumps([trained["env"], trained["env_options"]], sort_keys=True)
            worlds[world].append(run)
    written = []
    folders = own_folders([members[0] for members in worlds.values()], out)
    for folder, (world, members) in zip(folders, worlds.items(), strict=True):
        env_id, options = json.loads(world)
        for name, figure in portraits(members, check_env_id(env_id), options, users).items():
            save(figure, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    return written


def portraits(
    runs: Sequence[Path], env_id: str, options: Mapping[str, Any], users: int
) -> dict[str, Figure]:
    """The figures of the runs of one world, by name."""
    models: dict[str, list[Any]] = defaultdict(list)
    for run, name in run_labels(runs).items():
        models[name].append(partial(load_agent, run, env_id=env_id))
    play = partial(_play, env_id=env_id, users=users)
    tracks = play(models.items(), options=options, keep=True)
    tracks |= play(_untrained(FOLLOWED), options=options)
    influenced = play([*models.items(), *_untrained(MOVING)], options=_influence(options))
    env, told = env_id.removeprefix(NAMESPACE), f"{users} users"
    figures = {
        "interest_tracking": draw.interest_tracking(
            tracking_table(tracks), f"{env}: slates and true interest, {told}"
        ),
        "slates": draw.slates(slates_table(tracks), f"{env}: slates shown to {told}"),
        "displacement": draw.displacement(
            displacement_table(influenced), f"{env}: influence alone, {told}"
        ),
    }
    for name, makers in models.items():
        table = _attention(makers[0], env_id, options, tracks[name][0])
        if len(table):
            key = "attention_shift" if len(models) == 1 else f"attention_shift-{_slug(name)}"
            shifts = int(table["shifts"].iloc[0])
            figures[key] = draw.attention_shift(table, f"{env}: {name}, {shifts} shifts")
    return figures


# --- tables ---------------------------------------------------------------------------------------


def tracking_table(tracks: Tracks) -> pd.DataFrame:
    """Columns agent, kind, step, cosine, low, high: mean over users with its 95 % interval."""
    return _over_time("cosine", {k: [t.cosine for t in row] for k, row in tracks.items()})


def displacement_table(tracks: Tracks) -> pd.DataFrame:
    """Columns agent, kind, step, degrees, low, high: mean over users with its 95 % interval."""
    return _over_time("degrees", {k: [t.moved for t in row] for k, row in tracks.items()})


def slates_table(tracks: Tracks) -> pd.DataFrame:
    """Columns agent, kind, coverage, diversity, topic_entropy: means over training seeds."""
    rows = [
        {
            "agent": name,
            "kind": kind_of(name),
            "coverage": np.mean([t.result.coverage for t in row]),
            "diversity": np.mean([t.result.diversity.mean() for t in row]),
            "topic_entropy": mean_entropy(t.result for t in row),
        }
        for name, row in tracks.items()
    ]
    return pd.DataFrame(rows)


def kind_of(name: str) -> str:
    """One of the kinds of an agent that needs no training, else "learned"."""
    return KINDS.get(name, "adaptive") if name in agents.AGENTS else _LEARNED


def _over_time(value: str, curves: Mapping[str, Sequence[npt.NDArray[Any]]]) -> pd.DataFrame:
    frames = []
    for name, parts in curves.items():
        by_user = np.mean(parts, axis=0, dtype=np.float64)  # [T, B], mean over training seeds
        mean = by_user.mean(1)
        half = 1.96 * by_user.std(1) / np.sqrt(by_user.shape[1])
        frame = {"step": np.arange(len(mean)), value: mean, "low": mean - half, "high": mean + half}
        frames.append(pd.DataFrame({"agent": name, "kind": kind_of(name), **frame}))
    return pd.concat(frames, ignore_index=True)


# --- sessions -------------------------------------------------------------------------------------


def _untrained(names: Iterable[str]) -> list[tuple[str, list[Any]]]:
    return [(name, [partial(agents.make, name)]) for name in names]


def _influence(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same world in which nothing but what is shown moves the taste."""
    return {**options, "drift": "influence"}


def _play(
    makers: Iterable[tuple[str, Sequence[Any]]],
    env_id: str,
    users: int,
    options: Mapping[str, Any],
    keep: bool = False,
) -> dict[str, list[Followed]]:
    return {
        name: [follow(make, env_id, users, test_users(), options, keep=keep) for make in row]
        for name, row in makers
    }


def _attention(
    maker: Any, env_id: str, options: Mapping[str, Any], followed: Followed
) -> pd.DataFrame:
    env = make_batch(env_id, 1, options)
    try:
        policy = maker(env).policy
    finally:
        env.close()
    return attention_table(policy, followed) if attends(policy) else pd.DataFrame()


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
