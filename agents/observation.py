"""The check of what an agent is given, and the batch axis for a single user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .platform import Platform

Observation = dict[str, npt.NDArray[Any]]


def check_observation(observation: Any, platform: Platform) -> tuple[Observation, bool]:
    """The observation with a leading user axis, and whether it was of a single user.

    Raises:
        ValueError: naming the part, what came and what was expected.
    """
    if not isinstance(observation, dict):
        raise ValueError(f"observation must be a dict, got {type(observation).__name__}")
    for name in ("slates", "feedback"):
        if name not in observation:
            raise ValueError(f"observation must hold {name!r}, got {sorted(observation)}")
    single = np.ndim(observation["slates"]) == 2
    batch = {k: np.asarray(v)[None] if single else np.asarray(v) for k, v in observation.items()}
    _check_slates(batch["slates"], platform)
    _check_feedback(batch["feedback"], batch["slates"].shape)
    if "time" in batch:
        check_time(batch["time"])
    available = batch.get("available")
    expected = (len(batch["slates"]), platform.num_items)
    if available is not None and available.shape != expected:
        raise ValueError(f"available must have shape {expected}, got {available.shape}")
    return batch, single


def _check_slates(slates: npt.NDArray[Any], platform: Platform) -> None:
    size, num_items = platform.slate_size, platform.num_items
    if slates.ndim != 3 or slates.shape[1] == 0:
        raise ValueError(
            f"slates must have shape (H, {size}) or (B, H, {size}) with H >= 1, got {slates.shape}"
        )
    if slates.shape[2] != size:
        raise ValueError(f"slates must have {size} slots, as the agent's, got {slates.shape[2]}")
    if slates.dtype.kind not in "iu":
        raise ValueError(f"slates must hold item ids of an integer type, got {slates.dtype}")
    if slates.size and (slates.min() < -1 or slates.max() >= num_items):
        bad = slates[(slates < -1) | (slates >= num_items)].flat[0]
        raise ValueError(f"slates must hold ids in [-1, {num_items - 1}], got {bad}")


def _check_feedback(feedback: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    if feedback.shape != shape:
        raise ValueError(f"feedback must have the slates' shape {shape}, got {feedback.shape}")
    if feedback.dtype.kind not in "fiub":
        raise ValueError(f"feedback must hold numbers, got {feedback.dtype}")
    if feedback.size and not (feedback.min() >= 0 and feedback.max() <= 1):  # NaN fails both
        bad = feedback[~((feedback >= 0) & (feedback <= 1))].flat[0]
        raise ValueError(f"feedback must lie in [0, 1], got {bad}")


def check_time(time: npt.NDArray[Any]) -> None:
    """Refuse a time that is no number: it would pass through a network unnoticed.

    Raises:
        ValueError: for NaN or infinity.
    """
    if not np.isfinite(time).all():
        raise ValueError("time must be finite, got NaN or infinity")


def check_starts(episode_start: npt.ArrayLike | None, num_users: int) -> npt.NDArray[np.bool_]:
    """[B] bool; None says that no episode starts.

    Raises:
        ValueError: for a wrong shape.
    """
    if episode_start is None:
        return np.zeros(num_users, bool)
    starts = np.atleast_1d(np.asarray(episode_start)).astype(bool)
    if starts.shape != (num_users,):
        raise ValueError(f"episode_start must have shape ({num_users},), got {starts.shape}")
    return starts
