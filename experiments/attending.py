"""Where the attention looks around an abrupt shift, and what the interest changes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .evaluate import Observation
from .following import Followed
from .recovery import AFTER, BEFORE, shifts_of

NEWEST = 5  # slates whose attention is told
_BLOCK = 16  # users whose maps fit the cache

Floats = npt.NDArray[np.float64]


def attends(policy: Any) -> bool:
    """Whether the interest adjusts the attention of a policy, at every request."""
    from driftrec.agents.transformer import InterestNetwork

    network = getattr(policy, "network", None)
    return isinstance(network, InterestNetwork) and bool(
        network.config.conditioned and network.adaptive
    )


def attention_table(policy: Any, followed: Followed) -> pd.DataFrame:
    """Attention of the newest request, by layer and step around an abrupt shift.

    Args:
        policy: that attends.
        followed: of its sessions, with observations.

    Returns:
        Columns layer (from 1), offset (0: the first request after the shift), moved: the share of
        the attention that the interest moves (total variation, mean over heads, users and shifts)
        with its 95 % interval low, high; newest and newest_plain: the attention on the five newest
        slates over what an even spread would give them, with the interest and without; shifts. No
        row where nobody shifted.

    Raises:
        ValueError: for sessions whose observations were not kept.
    """
    if not followed.observations:
        raise ValueError("followed must hold observations: follow with keep=True")
    first, user = shifts_of(followed.result.shifts)
    if not len(first):
        return pd.DataFrame(columns=["layer", "offset", "moved"])
    moved, newest, plain = _attention(policy, followed.observations)  # [L, B, T] each
    window = np.arange(-BEFORE, AFTER)
    cut = [part[:, user[:, None], first[:, None] + window] for part in (moved, newest, plain)]
    mean = cut[0].mean(1)  # [L, W]
    half = 1.96 * cut[0].std(1) / np.sqrt(len(first))
    layers = np.arange(1, len(mean) + 1)
    return pd.DataFrame(
        {
            "layer": np.repeat(layers, len(window)),
            "offset": np.tile(window, len(layers)),
            "moved": mean.ravel(),
            "low": (mean - half).ravel(),
            "high": (mean + half).ravel(),
            "newest": cut[1].mean(1).ravel(),
            "newest_plain": cut[2].mean(1).ravel(),
            "shifts": len(first),
        }
    )


def _attention(policy: Any, observations: Sequence[Observation]) -> tuple[Floats, Floats, Floats]:
    """[L, B, T] each: moved, and attention on the newest slates with the interest and without."""
    import torch

    from driftrec.agents.explain import attention_of
    from driftrec.agents.history import newest, window

    steps, blocks = len(observations), []
    with torch.no_grad():
        for start in range(0, len(observations[0]["slates"]), _BLOCK):
            rows = slice(start, start + _BLOCK)
            seen = [{k: torch.as_tensor(v[rows]) for k, v in o.items()} for o in observations]
            # As the agent read them: the warm-up's slates, then one a request.
            parts = zip(window(seen[0]), *map(newest, seen[1:]), strict=True)
            told = policy.network.perceive(*(torch.cat(part, 1) for part in parts))
            on, off = (
                attention_of(policy.network, told, conditioned)[..., -steps:, :]
                for conditioned in (True, False)
            )
            moved = (on - off).abs().sum(-1) / 2
            shares = [moved, newest_share(on, steps), newest_share(off, steps)]
            blocks.append([share.mean(2).double().numpy() for share in shares])
    whole = [np.concatenate(part, 1) for part in zip(*blocks, strict=True)]
    return whole[0], whole[1], whole[2]


def newest_share(maps: Any, steps: int) -> Any:
    """[..., T] attention on the newest of all S slates over an even spread, of rows [..., T, S]."""
    import torch

    length = maps.shape[-1]
    seen = torch.arange(length - steps + 1, length + 1)[:, None]  # slates read at each request
    age = seen - 1 - torch.arange(length)  # 0: the newest
    share = (maps * ((age >= 0) & (age < NEWEST))).sum(-1)
    return share * seen[:, 0] / NEWEST
