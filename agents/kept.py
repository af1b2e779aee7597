"""What the interest learns first, kept on disk by all that decides it: the same is made once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from .cache import cache_folder, write_whole
from .logfit import Behaviour, fit_interest
from .network import Network
from .policy import InterestAttentionPolicy
from .practice import play_best, practise
from .tape import Episodes

# The code that a fit and practice run through; after a change to it none from before is found.
_FIT = ("chain", "dynamic", "interest", "logfit", "network", "occasion", "reading")
_SLATES = (
    "choosing",
    "diversity",
    "earned",
    "expected",
    "filling",
    "head",
    "heads",
    "output",
    "policy",
    "slate",
    "trial",
)
_PRACTICE = (*_FIT, *_SLATES, "history", "practice", "tape")


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
    arrays = (log.slates, log.feedback)
    path = _place(folder, _FIT, network, generator, passes, arrays)
    kept = _read(path)
    if kept is None:
        losses = fit_interest(network, log.slates, log.feedback, passes, generator)
        _write(path, network, generator, {"losses": losses})
        return losses
    _restore(kept, network, generator)
    return list(kept["losses"])


def practise_once(
    policy: InterestAttentionPolicy,
    env: VecEnv,
    worth: Tensor,
    rollouts: int,
    generator: np.random.Generator,
    folder: Path | None = None,
    trial: bool = True,
) -> list[float]:
    """``practise``, or what it gave the last time; the users too stand where it leaves them.

    It is known by its first rollout, which is always played: users of another world, or of another
    strength of drift, answer otherwise.

    Args:
        policy: as in ``practise``.
        env: as there.
        worth: as there.
        rollouts: as there.
        generator: as there.
        folder: as in ``fit_once``.
        trial: as in ``practise``.

    Returns:
        Mean reward of a request in each rollout.
    """
    if not rollouts:
        return []
    session, first = env.get_attr("session")[0], play_best(policy, env, worth)
    times, head = [rollouts, trial], policy.network.head
    path = _place(folder, _PRACTICE, policy.network, generator, times, _answers(first))
    kept = _read(path)
    if kept is None:
        earned = practise(policy, env, worth, rollouts, generator, first, trial)
        users = [session.seeds.tolist(), session.episodes.tolist()]
        found = {name: getattr(head, name).item() for name in head.settings}
        said = {"earned": earned, "users": users, "settings": found}
        _write(path, policy.network, generator, said)
        return earned
    _restore(kept, policy.network, generator)
    head.set(kept["settings"])
    session.seeds[:], session.episodes[:] = kept["users"]
    return list(kept["earned"])


def _answers(episodes: Episodes) -> tuple[np.ndarray, ...]:
    parts = episodes.slates, episodes.feedback, episodes.reward, episodes.alive
    return tuple(part.numpy() for part in parts)


def _place(
    folder: Path | None,
    code: tuple[str, ...],
    network: Network,
    generator: np.random.Generator,
    times: int | list[int],
    arrays: tuple[np.ndarray, ...],
) -> Path:
    """Of all that decides a fit: code, versions, where it begins, and what it reads."""
    interest, here = network.interest, Path(__file__).parent
    plain = {
        "code": [(here / f"{name}.py").read_text(encoding="utf-8") for name in code],
        "versions": [torch.__version__, np.__version__, torch.get_num_threads()],
        "fitted": [name for name, part in interest.named_parameters() if part.requires_grad],
        "surprise": interest.memory.surprise,
        "items": network.head.item_features,
        "generator": generator.bit_generator.state,
        "times": times,
        "shapes": [array.shape for array in arrays],
    }
    digest = hashlib.blake2b(json.dumps(plain).encode(), digest_size=16)
    tensors = [*interest.state_dict().values(), network.features, network.average]
    for array in (*arrays, *(tensor.detach().numpy() for tensor in tensors)):
        digest.update(np.ascontiguousarray(array).data)
    return (folder or cache_folder() / "fits") / f"{digest.hexdigest()}.pt"


def _read(path: Path) -> dict[str, Any] | None:
    """A fit; None where there is none, or one that cannot be read."""
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception:  # what torch raises for a damaged file is not said anywhere
        return None
    return found


def _restore(kept: dict[str, Any], network: Network, generator: np.random.Generator) -> None:
    network.interest.load_state_dict(kept["interest"])
    network.read_as_fitted()
    generator.bit_generator.state = json.loads(kept["generator"])


def _write(
    path: Path, network: Network, generator: np.random.Generator, said: dict[str, Any]
) -> None:
    """Keeps a fit; where the folder cannot be written to, it is made again the next time."""
    fit = {
        "interest": network.interest.state_dict(),
        "generator": json.dumps(generator.bit_generator.state),
        **said,
    }
    with contextlib.suppress(OSError):
        write_whole(path, lambda file: torch.save(fit, file))
