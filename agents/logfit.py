"""The interest f(history), fitted on a log before anything is played."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from .network import Network

_BATCH = 64  # users
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
    rate: float = 0.01,
) -> list[float]:
    """Maximises the likelihood of what users of a log chose next, by the memories and the chain.

    Nothing else of the network is touched or computed, so that a user costs a hundredth of what it
    does to train on one, and the log can be read several times.

    Args:
        network: whose ``interest`` and item vectors are fitted.
        slates: [U, H, K] of the log.
        feedback: [U, H, K] graded, on them.
        passes: over the log; 0 leaves the network as it is.
        generator: of the order of the users.
        rate: learning rate of Adam; rises over ten steps and falls linearly to a twentieth.

    Returns:
        Negative log-likelihood of a choice, in nats, at each step.
    """
    batch = min(_BATCH, len(slates))
    steps, losses = passes * (len(slates) // batch), list[float]()
    fitted = (*network.interest.parameters(), network.metric, network.item_own)
    optimizer = torch.optim.Adam(fitted, lr=rate)
    for _ in range(passes):
        order = generator.permutation(len(slates))
        for start in range(0, len(slates) - batch + 1, batch):
            rows = order[start : start + batch]
            for group in optimizer.param_groups:
                done = len(losses) / steps
                group["lr"] = rate * min(1.0, (len(losses) + 1) / 10) * max(0.05, 1 - done)
            shown = torch.as_tensor(slates[rows]).long()
            loss = -network.evidence(shown, torch.as_tensor(feedback[rows]))[:, UNREAD:].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses
