"""The slate that is shown where nothing is explored."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .diversity import diverse_slates
from .network import Network
from .output import Output


def shown_slates(network: Network, output: Output, slots: int) -> Tensor:
    """[B, K] what the head takes for best, or else by its ranks with regard to likeness."""
    best = network.head.best(output, slots)
    if best is not None:
        return best
    charge = network.config.diversity * float(network.sharpness)
    own = network.head.item_features
    features = output.features if own else normalize(output.embedding.detach(), dim=-1)
    scores = network.head.rank(output)[:, 0].detach().numpy()
    return torch.as_tensor(diverse_slates(scores, features.numpy(), slots, charge))
