"""A recurrent network in place of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .network import Network, NetworkConfig


@dataclass(frozen=True)
class GRUConfig(NetworkConfig):
    """Shape of the recurrent network.

    Attributes:
        layers: one above the other.
    """

    layers: int = 2


class GRUNetwork(Network):
    """h_t = GRU(token_t, h_{t-1}).

    Source: Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder"; for
    sessions Hidasi, Karatzoglou, Baltrunas & Tikk (2016), GRU4Rec.
    """

    Config: ClassVar[type[NetworkConfig]] = GRUConfig
    config: GRUConfig

    def build(self) -> None:
        """The recurrent layers."""
        hidden = self.config.hidden
        self.recurrent = nn.GRU(hidden, hidden, self.config.layers, batch_first=True)

    def mix(
        self, token: Tensor, context: Tensor, carry: Tensor | None = None, place: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Goes on from the layers' states [B, L, hidden]."""
        before = None if carry is None else carry.transpose(0, 1).contiguous()
        hidden, after = self.recurrent(token, before)
        return hidden, after.transpose(0, 1).contiguous()
