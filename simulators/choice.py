"""Choice: which item of a slate a user takes, if any."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from .compiled import draws
from .streams import Floats
from .users import Ints

_MOST = np.float32(60)  # logits; exp of more overflows in sums of float32


class Choice(Protocol):
    """How a user answers a slate of K utilities in logits; index K stands for taking nothing."""

    outside: float
    position: float

    def draws(self, slots: int) -> int:
        """How many random numbers a choice among ``slots`` takes."""

    def choose(self, utility: Floats, uniform: Floats) -> Ints:
        """[B, K] utilities and [B, draws] uniform numbers -> [B] chosen slot, K for none."""

    def probability(self, utility: Floats) -> Floats:
        """[..., K] utilities -> [..., K + 1] probability of each slot and of none."""

    def likelihood(self, utility: Floats, choice: Ints) -> Floats:
        """[K, B, ...] utilities and the slots [B] chosen -> [B, ...].

        The probability of that choice, for whoever weighs many guesses at one user: the slots come
        first, where summing over them is fast.
        """


@dataclass(frozen=True)
class LogitChoice:
    """Multinomial logit with an outside option and position bias.

    P(slot j) = exp(u_j + j log position) / (exp(outside) + sum_i exp(u_i + i log position)).
    Source: McFadden (1974), "Conditional logit analysis of qualitative choice behavior"; drawn as
    the argmax of u + Gumbel noise.

    Attributes:
        outside: utility of taking nothing, in logits.
        position: factor on the odds per slot down the slate, in (0, 1].
    """

    outside: float = 3.0
    position: float = 0.95

    def draws(self, slots: int) -> int:  # noqa: D102
        return slots + 1

    def choose(self, utility: Floats, uniform: Floats) -> Ints:  # noqa: D102
        shift = _examination(self.position, utility.shape[1])
        chosen: Ints = draws.choose_logit(utility, uniform, shift, self.outside)
        return chosen

    def probability(self, utility: Floats) -> Floats:  # noqa: D102
        slots = utility.shape[-1]
        weight = np.empty((*utility.shape[:-1], slots + 1), np.float32)
        weight[..., :slots] = utility + _examination(self.position, slots)
        weight[..., slots] = self.outside
        weight -= weight.max(-1, keepdims=True)
        np.exp(weight, out=weight)
        return weight / weight.sum(-1, keepdims=True)

    def likelihood(self, utility: Floats, choice: Ints) -> Floats:  # noqa: D102
        shift = _examination(self.position, len(utility)) - np.float32(self.outside)
        weight = utility + _first(shift, utility)
        np.minimum(weight, _MOST, out=weight)
        np.exp(weight, out=weight)
        total = weight.sum(0)
        total += 1
        return _chosen(weight, choice, np.float32(1)) / total


@dataclass(frozen=True)
class CascadeChoice:
    """The user reads downwards and takes the first item that attracts.

    P(slot j) = attract_j prod_{i<j} position (1 - attract_i), attract = sigmoid(u - outside).
    Source: Craswell, Zoeter, Taylor & Ramsey (2008), "An experimental comparison of click
    position-bias models"; ``position`` is the probability of reading on.

    Attributes:
        outside: utility at which an item attracts every second reader, in logits.
        position: probability of reading on after an item that did not attract, in (0, 1].
    """

    outside: float = 3.0
    position: float = 0.95

    def draws(self, slots: int) -> int:  # noqa: D102
        return 1

    def choose(self, utility: Floats, uniform: Floats) -> Ints:  # noqa: D102
        reached = np.cumsum(self.probability(utility)[:, :-1], axis=1)
        return (reached < uniform).sum(1)

    def probability(self, utility: Floats) -> Floats:  # noqa: D102
        slots = utility.shape[-1]
        attract = 1 / (1 + np.exp(np.float32(self.outside) - utility))
        passed = np.cumprod(np.float32(self.position) * (1 - attract[..., :-1]), axis=-1)
        result = np.empty((*utility.shape[:-1], slots + 1), np.float32)
        result[..., :slots] = attract
        result[..., 1:slots] *= passed
        result[..., slots] = 1 - result[..., :slots].sum(-1)
        return result

    def likelihood(self, utility: Floats, choice: Ints) -> Floats:  # noqa: D102
        attract = 1 / (1 + np.exp(np.float32(self.outside) - utility))
        passed = np.ones_like(attract)
        passed[1:] = np.cumprod(np.float32(self.position) * (1 - attract[:-1]), axis=0)
        attract *= passed
        return _chosen(attract, choice, 1 - attract.sum(0))


@lru_cache
def _examination(position: float, slots: int) -> Floats:
    """[K] what its place in the slate adds to the utility of a slot."""
    return np.arange(slots, dtype=np.float32) * np.float32(np.log(position))


def _first(slots: Floats, like: Floats) -> Floats:
    """[K] -> [K, 1, ...], to broadcast over an array whose slots come first."""
    return slots.reshape(-1, *(1,) * (like.ndim - 1))


def _chosen(slots: Floats, choice: Ints, none: Floats | np.float32) -> Floats:
    """[K, B, ...] values and the slots [B] chosen -> [B, ...]; ``none`` where K was chosen."""
    took = choice < len(slots)
    values = slots[np.where(took, choice, 0), np.arange(len(choice))]
    return np.where(took.reshape(-1, *(1,) * (values.ndim - 1)), values, none)


CHOICES: dict[str, type[LogitChoice] | type[CascadeChoice]] = {
    "logit": LogitChoice,
    "cascade": CascadeChoice,
}
