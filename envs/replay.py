"""Logged episodes read back from Minari: what ``export.to_minari`` wrote."""

from __future__ import annotations

from typing import Any

import numpy as np

from .export import Episode


def from_minari(dataset_id: str) -> list[Episode]:
    """The episodes of a local Minari dataset.

    Raises:
        ImportError: where Minari is missing.
        ValueError: where there is no such dataset, or its observations are none of driftrec's.
    """
    try:
        import minari
    except ImportError as error:
        raise ImportError("from_minari needs Minari: pip install 'driftrec[offline]'") from error

    if dataset_id not in minari.list_local_datasets():
        raise ValueError(f"dataset_id must be a local Minari dataset, got {dataset_id!r}")
    dataset = minari.load_dataset(dataset_id)
    return [_episode(data, dataset_id) for data in dataset.iterate_episodes()]


def _episode(data: Any, dataset_id: str) -> Episode:
    seen, needed = data.observations, ("slates", "feedback", "request", "time")
    if not isinstance(seen, dict) or not set(needed) <= set(seen):
        raise ValueError(
            f"dataset_id must hold observations with {', '.join(needed)}, which {dataset_id} lacks"
        )
    slates, unknown = np.asarray(data.actions, np.int64), np.full(data.actions.shape, np.nan)
    return Episode(
        seed=-1,  # Minari keeps none
        observations={key: np.asarray(value) for key, value in seen.items()},
        slates=slates,
        propensity=np.asarray(data.infos["propensity"][1:]) if data.infos else unknown,
        rewards=np.asarray(data.rewards),
        terminated=bool(data.terminations[-1]),
    )
