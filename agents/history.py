"""Observations as a network reads them: tensors with a time axis."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from .observation import check_time


def check_history(observation: dict[str, np.ndarray], slots: int) -> None:
    """Refuses what would pass through the network unnoticed, as NaN does."""
    slates, feedback = np.asarray(observation["slates"]), np.asarray(observation["feedback"])
    if slates.shape[-1] != slots:
        raise ValueError(f"slates must have {slots} slots, as the policy's, got {slates.shape[-1]}")
    if feedback.shape != slates.shape:
        raise ValueError(f"feedback must have shape {slates.shape}, got {feedback.shape}")
    if not ((feedback >= 0) & (feedback <= 1)).all():  # NaN fails both
        raise ValueError("feedback must lie in [0, 1], got NaN or a number outside")
    check_time(observation["time"])


def window(obs: PyTorchObs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The last H slates as a sequence; earlier requests and times are not observed and read 0."""
    assert isinstance(obs, dict)
    slates, feedback = obs["slates"].long(), obs["feedback"].float()
    batch, steps = slates.shape[:2]
    request = torch.zeros(batch, steps, dtype=torch.long)
    request[:, -1] = request_id(obs["request"])
    time = torch.zeros(batch, steps, 4)
    time[:, -1] = obs["time"].float()
    return slates, feedback, request, time


def newest(obs: PyTorchObs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The newest slate as a sequence of one."""
    assert isinstance(obs, dict)
    return (
        obs["slates"][:, -1:].long(),
        obs["feedback"][:, -1:].float(),
        request_id(obs["request"])[:, None],
        obs["time"][:, None].float(),
    )


def available(obs: PyTorchObs) -> Tensor | None:
    """[B, 1, N] whether each item is to be had at the newest request; None where all always are."""
    assert isinstance(obs, dict)
    return obs["available"][:, None] != 0 if "available" in obs else None


def request_id(request: Tensor) -> Tensor:
    """[B] ids, also from the one-hot rows that Stable-Baselines3 stores."""
    request = request.reshape(len(request), -1)
    return (request[:, 0] if request.shape[1] == 1 else request.argmax(1)).long()
