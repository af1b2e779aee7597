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
        self.parts: tuple[torch.optim.Optimizer, ...] = ()
        params = list(params)
        super().__init__(params, {"lr": lr})
        matrices, others = _split(params)
        muon = torch.optim.Muon(
            matrices,
            lr=lr,
            weight_decay=weight_decay,
            momentum=0.9,
            adjust_lr_fn="match_rms_adamw",
        )
        self.parts = (muon, torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay))
        self._gather()

    def _gather(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """More parameters, for the one or the other."""
        if not self.parts:  # not yet made
            return super().add_param_group(param_group)
        split = _split(param_group["params"])
        if "peak" in param_group:  # steps of equal length in all directions are not gentle
            split = [], list(param_group["params"])
        for part, params in zip(self.parts, split, strict=True):
            if params:
                part.add_param_group({**param_group, "params": params})
        self._gather()

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
        self._gather()


def gentle_group(params: list[nn.Parameter], rate: float, warm_up: int) -> dict[str, Any]:
    """A group for ``add_param_group``: a rate of its own, reached slowly lest weights be spoilt.

    Args:
        params: pretrained ones.
        rate: after the warm-up.
        warm_up: steps over which it rises from 0.
    """
    return {"params": params, "lr": 0.0, "peak": rate, "warm_up": warm_up, "done": 0}


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the step that comes; gentle groups keep to their own."""
    for group in optimizer.param_groups:
        if "peak" in group:
            group["done"] += 1
            rate_of_group = group["peak"] * min(1.0, group["done"] / group["warm_up"])
        else:
            rate_of_group = rate
        group["lr"] = rate_of_group


def _split(params: Iterable[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices, and all else."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for p in params:
        square = p.ndim == 2 and min(p.shape) >= _SMALLEST and max(p.shape) <= _LARGEST
        (matrices if square else others).append(p)
    return matrices, others
