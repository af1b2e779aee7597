"""Fits of the interest, kept on disk by all that decides them: the same fit is made once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cache import cache_folder, write_whole
from .logfit import Behaviour, fit_interest
from .network import Network

# The code that a fit runs through; after a change to it no fit from before is found.
_CODE = ("chain", "dynamic", "interest", "logfit", "network", "reading")


def fit_once(
    network: Network,
    log: Behaviour,
    passes: int,
    generator: np.random.Generator,
    folder: Path | None = None,
) -> list[float]:
    """``fit_interest``, or what it gave the last time: network, generator and losses are the same.

    Networks of all kinds and algorithms of all kinds begin with the same fit where log and seed
    are the same; together they pay for it once. For logs of simulated users only: a fit tells of
    whom it was made from, so that of a private log is nothing to be left in a common folder.

    Args:
        network: whose ``interest`` is fitted.
        log: what users chose.
        passes: over the log; 0 leaves the network as it is.
        generator: as in ``fit_interest``.
        folder: where fits are kept; ``fits`` in ``cache_folder()`` if None.

    Returns:
        Negative log-likelihood of an answer, in nats, at each step.
    """
    folder = folder or cache_folder() / "fits"
    path = folder / f"{_key(network, log, passes, generator)}.pt"
    kept = _read(path)
    if kept is None:
        losses = fit_interest(network, log.slates, log.feedback, passes, generator)
        _write(path, network, generator, losses)
        return losses
    network.interest.load_state_dict(kept["interest"])
    network.read_as_fitted()
    generator.bit_generator.state = json.loads(kept["generator"])
    return list(kept["losses"])


def _key(network: Network, log: Behaviour, passes: int, generator: np.random.Generator) -> str:
    """Of all that decides a fit: code, versions, where it begins, and what it reads."""
    interest, here = network.interest, Path(__file__).parent
    plain = {
        "code": [(here / f"{name}.py").read_text(encoding="utf-8") for name in _CODE],
        "versions": [torch.__version__, np.__version__, torch.get_num_threads()],
        "fitted": [name for name, part in interest.named_parameters() if part.requires_grad],
        "surprise": interest.memory.surprise,
        "items": network.head.item_features,
        "generator": generator.bit_generator.state,
        "passes": passes,
        "shapes": [log.slates.shape, log.feedback.shape],
    }
    digest = hashlib.blake2b(json.dumps(plain).encode(), digest_size=16)
    tensors = [*interest.state_dict().values(), network.features, network.average]
    for array in (log.slates, log.feedback, *(tensor.detach().numpy() for tensor in tensors)):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """A fit; None where there is none, or one that cannot be read."""
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception:  # what torch raises for a damaged file is not said anywhere
        return None
    return found


def _write(
    path: Path, network: Network, generator: np.random.Generator, losses: list[float]
) -> None:
    """Keeps a fit; where the folder cannot be written to, it is made again the next time."""
    fit = {
        "interest": network.interest.state_dict(),
        "generator": json.dumps(generator.bit_generator.state),
        "losses": losses,
    }
    with contextlib.suppress(OSError):
        write_whole(path, lambda file: torch.save(fit, file))
