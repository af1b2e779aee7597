"""A served network in fewer bits, or pruned: each a flag, and none the default."""

from __future__ import annotations

import contextlib
import copy
import warnings
from contextlib import AbstractContextManager
from dataclasses import replace
from numbers import Real

import torch
from torch import nn
from torch.nn.utils import prune

from ..network import Network
from ..output import Output

PRECISIONS = ("fp32", "bf16", "int8")


def lighten(network: Network, precision: str = "fp32", pruned: float = 0.0) -> Network:
    """The network with lighter linear layers; item vectors stay as they are.

    Args:
        network: to be served; it stays as it is.
        precision: "fp32"; "bf16", where ``context`` does the work; or "int8", whose weights are
            rounded to 8 bits and whose activations are as they come (Jacob et al., 2018,
            "Quantization and training of neural networks for efficient integer-arithmetic-only
            inference").
        pruned: share of each layer's weights, the smallest, that are set to 0 (Han et al., 2015,
            "Learning both weights and connections for efficient neural networks"). It takes as
            much memory and time as before, and less room once compressed.

    Raises:
        ValueError: for another precision, or a share outside [0, 1).
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if not isinstance(pruned, Real) or not 0 <= pruned < 1:
        raise ValueError(f"pruned must be a number in [0, 1), got {pruned!r}")
    if pruned:
        network = copy.deepcopy(network)
        for layer in [m for m in network.modules() if isinstance(m, nn.Linear)]:
            if layer.weight.numel():
                prune.l1_unstructured(layer, "weight", pruned)
                prune.remove(layer, "weight")
    if precision != "int8":
        return network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is to move to another package
        warnings.simplefilter("ignore", UserWarning)
        return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)


def in_fp32(output: Output) -> Output:
    """What a network says of users, to be searched in fp32, whatever it was computed in."""
    parts = {name: getattr(output, name).float() for name in ("query", "weight")}
    return replace(output, **parts)


def context(precision: str) -> AbstractContextManager[object]:
    """In which the network is run."""
    if precision == "bf16":
        return torch.autocast("cpu", torch.bfloat16)
    return contextlib.nullcontext()
