"""Leave-last-out: the last item of each user to foretell, the one before it to choose models by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .reading import EventLog

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
TOP = 10
_BATCH = 512  # users


@dataclass(frozen=True)
class LeaveLastOut:
    """A log, cut.

    Attributes:
        train: items of each user but the last two, oldest first.
        valid: [U] the last but one.
        test: [U] the last.
        popularity: [N] events of each item in ``train``.
    """

    train: list[Ints]
    valid: Ints
    test: Ints
    popularity: Ints

    @property
    def before_test(self) -> list[Ints]:
        """Items of each user but the last."""
        return [np.append(a, b) for a, b in zip(self.train, self.valid, strict=True)]


def leave_last_out(log: EventLog, least: int = 5) -> LeaveLastOut:
    """Cuts a log; users with fewer than ``least`` events are left out.

    Raises:
        UserError: where no user has so many, or ``least`` is below 3.
    """
    if least < 3:
        raise UserError(f"least must be at least 3, got {least}")
    users = [items for items in np.split(log.item, log.first[1:-1]) if len(items) >= least]
    if not users:
        raise UserError(f"log must hold a user with {least} events or more, got none")
    train = [items[:-2] for items in users]
    popularity = np.bincount(np.concatenate(train), minlength=len(log.popularity))
    return LeaveLastOut(
        train,
        np.array([items[-2] for items in users]),
        np.array([items[-1] for items in users]),
        popularity,
    )


def ranks(scores: Floats, target: Ints, hidden: Bools | None = None) -> Ints:
    """[U] places of the targets among all items, 1 the best; an equal score counts as above.

    Args:
        scores: [U, N].
        target: [U] items.
        hidden: [U, N] items that don't compete, the target's own entry aside.
    """
    own = np.take_along_axis(scores, target[:, None], 1)
    above = scores >= own
    if hidden is not None:
        above &= ~hidden
        above[np.arange(len(target)), target] = True
    return above.sum(1)


def rank_all(
    score: Callable[[list[Ints]], Floats], histories: list[Ints], target: Ints
) -> tuple[Ints, Ints]:
    """Ranks among all N items, and among those that are not in the user's history."""
    full, unseen = list[Ints](), list[Ints]()
    for start in range(0, len(target), _BATCH):
        part, own = histories[start : start + _BATCH], target[start : start + _BATCH]
        scores = score(part)
        seen = np.zeros(scores.shape, bool)
        owner = np.repeat(np.arange(len(part)), [len(items) for items in part])
        seen[owner, np.concatenate(part)] = True
        full.append(ranks(scores, own))
        unseen.append(ranks(scores, own, seen))
    return np.concatenate(full), np.concatenate(unseen)


def hits(rank: Ints, top: int = TOP) -> npt.NDArray[np.float64]:
    """[U] 1 where the target is among the ``top`` first: its mean is HR@top."""
    return (rank <= top).astype(np.float64)


def gains(rank: Ints, top: int = TOP) -> npt.NDArray[np.float64]:
    """[U] 1 / log2(1 + rank) where the target is among the ``top`` first: its mean is NDCG@top."""
    return np.where(rank <= top, 1 / np.log2(1.0 + rank), 0.0)
