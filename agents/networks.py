"""The networks by name; apart from the algorithms, so that serving one needs no training code."""

from __future__ import annotations

from typing import Any

from .frozen import StaticAttentionNetwork
from .gru import GRUNetwork
from .mlp import MLPNetwork
from .network import Network
from .transformer import InterestNetwork

NETWORKS: dict[str, tuple[type[Network], dict[str, Any]]] = {
    "interest-attention": (InterestNetwork, {}),
    "attention": (InterestNetwork, {"conditioned": False}),
    "static-attention": (StaticAttentionNetwork, {}),
    "gru": (GRUNetwork, {}),
    "mlp": (MLPNetwork, {}),
}
"""Every network by its name: its class, and the options that differ from the class's own."""
