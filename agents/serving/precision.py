"""A served network in fewer bits, or compiled: each a flag, and none the default."""

from __future__ import annotations

import contextlib
import warnings
from contextlib import AbstractContextManager

import torch
from torch import nn

from ..network import Network

PRECISIONS = ("fp32", "bf16", "int8")


def lighten(network: Network, precision: str) -> Network:
    """The network with its linear layers in ``precision``; item vectors stay in fp32.

    Args:
        network: to be served; it stays as it is.
        precision: "fp32"; "bf16", where ``context`` does the work; or "int8", whose weights are
            rounded to 8 bits and whose activations are as they come (Jacob et al., 2018,
            "Quantization and training of neural networks for efficient integer-arithmetic-only
            inference").

    Raises:
        ValueError: for another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision != "int8":
        return network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is to move to another package
        warnings.simplefilter("ignore", UserWarning)
        return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)


def context(precision: str) -> AbstractContextManager[object]:
    """In which the network is run."""
    if precision == "bf16":
        return torch.autocast("cpu", torch.bfloat16)
    return contextlib.nullcontext()
