"""A window of the last few slates in place of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .network import Network, NetworkConfig


@dataclass(frozen=True)
class MLPConfig(NetworkConfig):
    """Shape of the perceptron.

    Attributes:
        window: slates that it sees, the newest among them.
    """

    window: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1:
            raise ValueError(f"window must be at least 1, got {self.window}")


class MLPNetwork(Network):
    """h_t = MLP(token_{t-w+1}, .., token_t), in one row; zeros before the first."""

    Config: ClassVar[type[NetworkConfig]] = MLPConfig
    config: MLPConfig

    def build(self) -> None:
        """Two layers."""
        hidden = self.config.hidden
        self.perceptron = nn.Sequential(
            nn.Linear(self.config.window * hidden, 2 * hidden),
            nn.SiLU(),
            nn.Linear(2 * hidden, hidden),
        )

    def mix(
        self, token: Tensor, context: Tensor, carry: Tensor | None = None, place: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Goes on from the last w - 1 tokens [B, w - 1, hidden]."""
        past = self.config.window - 1
        if carry is None:
            carry = token.new_zeros(len(token), past, token.shape[2])
        tokens = torch.cat((carry, token), 1)
        row = tokens.unfold(1, past + 1, 1).flatten(2)  # [B, T, hidden * w]
        return self.perceptron(row), tokens[:, tokens.shape[1] - past :]
