"""What is shipped: a trained network whose items are fixed, and the catalogue's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from driftrec.simulators import Catalog

from ..fresh import weights_follow
from ..network import Network
from ..networks import NETWORKS
from .items import Items


@dataclass(frozen=True)
class ServedModel:
    """A network that serves, and does not learn.

    Attributes:
        network: in evaluation mode, with fixed items.
        slots: K, of the slates that it was trained on.
        items: the catalogue.
    """

    network: Network
    slots: int
    items: Items

    @classmethod
    def of(
        cls, network: Network, slots: int, catalog: Catalog, requests: Sequence[str]
    ) -> ServedModel:
        """A copy of a trained network, which is left as it is.

        Args:
            network: of a class in ``NETWORKS``.
            slots: K.
            catalog: the items that it was trained for.
            requests: [R] texts of the requests, the first of which means "none".
        """
        copy = build(describe(network), network.state_dict())
        return cls(copy, slots, Items.of(catalog, requests))


def describe(network: Network) -> dict[str, Any]:
    """Name and shape of a network, as plain values.

    Raises:
        ValueError: for a class that has no name.
    """
    names = [name for name, (cls, _) in NETWORKS.items() if cls is type(network)]
    if not names:
        raise ValueError(
            f"network must be of a class in NETWORKS ({', '.join(NETWORKS)}), "
            f"got {type(network).__name__}"
        )
    return {
        "name": names[0],
        "config": asdict(network.config),
        "requests": int(network.request.num_embeddings),
    }


def build(shape: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Network:
    """A network that serves, from what ``describe`` says and its weights.

    Raises:
        ValueError: where they do not belong together.
    """
    if shape["name"] not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {shape['name']!r}")
    cls = NETWORKS[shape["name"]][0]
    config: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in shape["config"].items()
    }
    features = weights["features"]
    none = features.new_zeros(len(features))
    with torch.random.fork_rng(devices=[]), weights_follow():  # weights are drawn, and overwritten
        network = cls(features.clone(), none.clone(), none, shape["requests"], cls.Config(**config))
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:  # names the tensors that are missing or of another shape
        raise ValueError(f"weights must fit the network: {error}") from None
    network.fix_items()
    return network.requires_grad_(False).eval()
