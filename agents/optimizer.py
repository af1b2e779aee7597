"""The optimiser: Muon for matrices, AdamW for all else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

_SMALLEST, _LARGEST = 16, 600  # sides of the matrices that Muon is for; tables of items are longer


class MuonAdamW(torch.optim.Optimizer):
    """Both as one, under one learning rate.

    Muon (Jordan et al., 2024) descends along the nearest orthogonal matrix to the momentum, scaled
    to the length of AdamW's steps (Liu et al., 2025, "Muon is scalable for LLM training", eq. 4),
    so that one rate suits both. It needs fewer steps, and pretraining has few.

    Args:
        params: of a network.
        lr: learning rate.
        weight_decay: of both.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float = 1e-3, weight_decay: float = 1e-4
    ) -> None:
        params = list(params)
        super().__init__(params, {"lr": lr})
        is_matrix = [
            p.ndim == 2 and min(p.shape) >= _SMALLEST and max(p.shape) <= _LARGEST for p in params
        ]
        matrices = [p for p, yes in zip(params, is_matrix, strict=True) if yes]
        others = [p for p, yes in zip(params, is_matrix, strict=True) if not yes]
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                matrices,
                lr=lr,
                weight_decay=weight_decay,
                momentum=0.9,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay),
        )
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both.

        Raises:
            ValueError: for a closure, which neither needs.
        """
        if closure is not None:
            raise ValueError("closure must be None")
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the states of both."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
