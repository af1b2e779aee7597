"""The interest f(history), fitted on a log before anything is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .network import Network

_BATCH = 64  # users
_LONGEST = 5.0  # of a gradient
_SINGLE = 6.0  # pace of single numbers (odds of change, half-lives, gains), that have far to go
UNREAD = 5  # first choices of each user, of whom too little is known to learn from them


@dataclass(frozen=True)
class Behaviour:
    """What users of a log chose, a row a user.

    Attributes:
        slates: [U, H, K] items that they chose from, -1 for none.
        feedback: [U, H, K] graded, on them.
        against: "slates" that were shown, or items "drawn" to stand beside each event.
    """

    slates: npt.NDArray[np.int32]
    feedback: npt.NDArray[np.float32]
    against: str = "slates"


def fit_interest(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    passes: int,
    generator: np.random.Generator,
    rate: float = 0.02,
) -> list[float]:
    """Maximises the likelihood of how users of a log answered next, by the interest alone.

    The rest of the network is not computed, so that a user costs a fraction of what it does to
    train on one; at the end the read-out is put where the fit has ended.

    Args:
        network: whose ``interest`` is fitted.
        slates: [U, H, K] of the log.
        feedback: [U, H, K] graded, on them.
        passes: over the log; 0 leaves the network as it is.
        generator: of where lasting interests begin, and of the order of the users.
        rate: learning rate of Adam; rises over ten steps and falls linearly to a twentieth. Of
            single numbers six times as much: at one rate for all they stay near where they began.

    Returns:
        Negative log-likelihood of an answer, in nats, at each step.
    """
    batch = min(_BATCH, len(slates))
    steps, losses = passes * (len(slates) // batch), list[float]()
    if not steps:
        return losses
    network.interest.chain.begin_at(_users(network, slates, feedback), generator)
    fit = InterestFit(network, rate, steps)
    read = torch.ones(batch, slates.shape[1])
    read[:, :UNREAD] = 0
    for _ in range(passes):
        order = generator.permutation(len(slates))
        for start in range(0, len(slates) - batch + 1, batch):
            rows = order[start : start + batch]
            shown = torch.as_tensor(slates[rows]).long()
            losses.append(fit.update(shown, torch.as_tensor(feedback[rows]), read))
    network.read_as_fitted()
    return losses


class InterestFit:
    """Steps of gradient descent on the negative log-likelihood of answers, by the interest alone.

    Args:
        network: whose ``interest`` is fitted.
        rate: learning rate, see ``fit_interest``.
        steps: how many updates there will be.
    """

    def __init__(self, network: Network, rate: float, steps: int) -> None:
        self.network, self.rate, self.steps, self.done = network, rate, steps, 0
        self.fitted = [part for part in network.interest.parameters() if part.requires_grad]
        self.optimizer = torch.optim.Adam(paced(self.fitted), lr=rate)

    def update(
        self,
        slates: Tensor,
        feedback: Tensor,
        read: Tensor,
        request: Tensor | None = None,
        time: Tensor | None = None,
    ) -> float:
        """One step on users' slates [B, T, K] and ``feedback``.

        Args:
            slates: [B, T, K].
            feedback: [B, T, K].
            read: [B, T] weight of each answer.
            request: [B, T] that follows each slate, where it is known.
            time: [B, T, 4] of it.

        Returns:
            Mean negative log-likelihood of an answer, in nats.
        """
        schedule(self.optimizer, self.rate, self.done, self.steps)
        answers = self.network.evidence(slates, feedback, request, time)
        loss = -(answers * read).sum() / read.sum().clamp_min(1)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.fitted, _LONGEST)
        self.optimizer.step()
        self.done += 1
        return loss.item()


def paced(fitted: Sequence[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """Parameters in groups for an optimiser: single numbers at a pace of their own."""
    single = [part for part in fitted if part.ndim < 2]
    several = [part for part in fitted if part.ndim >= 2]
    return [{"params": several, "pace": 1.0}, {"params": single, "pace": _SINGLE}]


def schedule(optimizer: torch.optim.Optimizer, rate: float, step: int, steps: int) -> None:
    """Sets the learning rates of ``paced`` groups: up over ten steps, down to a twentieth."""
    rise, fall = min(1.0, (step + 1) / 10), max(0.05, 1 - step / steps)
    for group in optimizer.param_groups:
        group["lr"] = group["pace"] * rate * rise * fall


def _users(
    network: Network, slates: npt.NDArray[np.int32], feedback: npt.NDArray[np.float32]
) -> Tensor:
    """[U, F] unit vectors of what users took, by grade, less what they were shown."""
    with torch.no_grad():
        items = network.perceived
    vectors = items.new_zeros(len(slates), items.shape[1])
    for start in range(0, len(slates), _BATCH):
        rows = slice(start, start + _BATCH)
        shown, grade = torch.as_tensor(slates[rows]).long(), torch.as_tensor(feedback[rows])
        seen = items[shown.clamp_min(0)]  # [b, H, K, F]
        vectors[rows] = _mean(seen, grade) - _mean(seen, (shown >= 0).float())
    return torch.nn.functional.normalize(vectors, dim=1)


def _mean(vectors: Tensor, weight: Tensor) -> Tensor:
    """[b, F] sum of vectors [b, H, K, F] times their weight, over how many weigh anything."""
    total = (vectors * weight[..., None]).sum((1, 2))
    return total / (weight > 0).sum((1, 2)).clamp_min(1)[:, None]
