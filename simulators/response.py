"""Response: the graded feedback of a user on what was taken, and the domain's reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from .catalog import Catalog
from .compiled import draws, kernels
from .logistic import QUANTILES, WEIGHTS, logit, sigmoid
from .streams import Floats
from .users import Ints


@dataclass(frozen=True)
class Outcome:
    """What B users did with their slates.

    Attributes:
        slates: [B, K] items shown.
        choice: [B] slot taken, K for none.
        item: [B] item taken, -1 for none.
        consumed: [B] whether anything was taken.
        grade: [B] graded feedback on the item taken, in (0, 1]; 0 where none was.
        reward: [B] in the domain's unit.
    """

    slates: npt.NDArray[np.int32]
    choice: Ints
    item: Ints
    consumed: npt.NDArray[np.bool_]
    grade: Floats
    reward: Floats

    @property
    def feedback(self) -> Floats:
        """[B, K] graded feedback per slot, 0 where a slot was not taken."""
        feedback = np.empty(self.slates.shape, np.float32)
        self.write_feedback(feedback)
        return feedback

    def write_feedback(self, feedback: Floats) -> None:
        """Writes ``feedback`` [B, K] in place."""
        kernels.write_feedback(feedback, self.choice, self.grade)


class Response(Protocol):
    """Graded feedback on an item taken, and what it is worth to the platform."""

    def worth(self, catalog: Catalog) -> Floats:
        """[N] reward of grade 1 on each item."""

    def grade(self, utility: Floats, uniform: Floats) -> Floats:
        """[B] utilities of items taken and [B, 2] uniform numbers -> [B] grade in (0, 1]."""

    def likelihood(self, grade: Floats, utility: Floats) -> Floats:
        """Density or probability of ``grade``, up to a factor that does not depend on utility."""

    def reward(self, grade: Floats, worth: Floats) -> Floats:
        """Reward of grades on items of a worth, arrays that broadcast; 0 for grade 0."""

    def expected_grade(self, utility: Floats) -> Floats:
        """Mean of ``grade`` over its noise, for utilities of any shape."""

    def expected_reward(self, utility: Floats, worth: Floats) -> Floats:
        """Mean of ``reward`` over the noise of ``grade``, for arrays that broadcast."""


@dataclass(frozen=True)
class Click:
    """A click is a click: grade 1, reward 1."""

    def worth(self, catalog: Catalog) -> Floats:  # noqa: D102
        return np.ones(len(catalog), np.float32)

    def grade(self, utility: Floats, uniform: Floats) -> Floats:  # noqa: D102
        return np.ones(len(utility), np.float32)

    def likelihood(self, grade: Floats, utility: Floats) -> Floats:  # noqa: D102
        return np.ones_like(utility)

    def reward(self, grade: Floats, worth: Floats) -> Floats:  # noqa: D102
        return grade * worth

    def expected_grade(self, utility: Floats) -> Floats:  # noqa: D102
        return np.ones_like(utility)

    def expected_reward(self, utility: Floats, worth: Floats) -> Floats:  # noqa: D102
        return np.broadcast_to(worth, utility.shape)


@dataclass(frozen=True)
class Watch:
    """Share of the item that is watched; reward is minutes watched.

    grade = sigmoid((u - middle) / width + noise l), l standard logistic: the better the match, the
    longer one stays. A dwell time says more than a click (Yi, Hong, Zhong, Liu & Rajan, 2014,
    "Beyond clicks: dwell time for personalization").

    Attributes:
        middle: utility at which half is watched, in logits.
        width: logits of utility per logit of share watched.
        noise: scale of the logistic noise.
    """

    middle: float = 3.0
    width: float = 1.0
    noise: float = 0.5

    def worth(self, catalog: Catalog) -> Floats:  # noqa: D102
        return catalog.value

    def grade(self, utility: Floats, uniform: Floats) -> Floats:  # noqa: D102
        share: Floats = draws.share_watched(
            utility, uniform, self.middle, self.width, self.noise, _LEAST
        )
        return share

    def likelihood(self, grade: Floats, utility: Floats) -> Floats:
        """The logistic density of the noise; at the least grade, all of its mass up to there."""
        share = np.clip(grade, _LEAST, np.float32(1 - 1e-6))
        noise = np.log(share / (1 - share)) + np.float32(self.middle / self.width)
        noise = noise / np.float32(self.noise) - utility / np.float32(self.width * self.noise)
        odds = np.exp(-np.minimum(np.abs(noise), np.float32(60)))  # denormal numbers are slow
        density = odds / (1 + odds) ** 2
        return (
            density if grade.min() > _LEAST else np.where(grade > _LEAST, density, sigmoid(noise))
        )

    def reward(self, grade: Floats, worth: Floats) -> Floats:  # noqa: D102
        return grade * worth

    def expected_grade(self, utility: Floats) -> Floats:
        """By quadrature over the noise; within 1 % where a hundredth or more is watched."""
        return self._mean_share(utility, np.ones((), np.float32))

    def expected_reward(self, utility: Floats, worth: Floats) -> Floats:  # noqa: D102
        return self.expected_grade(utility) * worth

    def _share(self, utility: Floats, odds: Floats) -> Floats:
        """Share watched where the noise has these odds of being smaller."""
        middle, width = np.float32(self.middle), np.float32(self.width)
        noise: Floats = np.log(odds) * np.float32(self.noise)
        return sigmoid((utility - middle) / width + noise)

    def _mean_share(self, utility: Floats, chance: Floats) -> Floats:
        """Mean share over the noises that are among the largest ``chance`` of all."""
        chance = np.maximum(chance, np.float32(1e-6))  # the odds stay finite
        total = np.zeros(utility.shape, np.float32)
        for quantile, weight in zip(QUANTILES, WEIGHTS, strict=True):
            tail = chance * quantile
            total += weight * self._share(utility, (1 - tail) / tail)
        return total

    def _chance(self, utility: Floats, bar: float) -> Floats:
        """Probability that the share is at least ``bar``."""
        above = (utility - np.float32(self.middle)) / np.float32(self.width) - logit(bar)
        return sigmoid(above / np.float32(self.noise))


@dataclass(frozen=True)
class Read(Watch):
    """Share of an article that is read; reward is minutes of dwell on articles that are read.

    The grade is that of ``Watch``. A visit that stops before ``bar`` is a bounce and earns nothing,
    so a headline that is clicked and not read is worth nothing: reads x dwell.

    Attributes:
        bar: share from which on a click counts as a read.
    """

    bar: float = 0.3

    def reward(self, grade: Floats, worth: Floats) -> Floats:  # noqa: D102
        return np.where(grade >= np.float32(self.bar), grade * worth, np.float32(0))

    def expected_reward(self, utility: Floats, worth: Floats) -> Floats:  # noqa: D102
        chance = self._chance(utility, self.bar)
        return chance * self._mean_share(utility, chance) * worth


@dataclass(frozen=True)
class Listen(Watch):
    """Share of a track that is heard; reward is 1 per track heard out, less the skips.

    The grade is that of ``Watch``. A track that is left before ``bar`` of it is a skip and costs
    ``skip``; any other earns the share heard. So a list that is started and skipped through is
    worse than silence.

    Attributes:
        bar: share below which leaving a track is a skip.
        skip: reward lost per skip.
    """

    bar: float = 0.3
    skip: float = 0.5

    def worth(self, catalog: Catalog) -> Floats:  # noqa: D102
        return np.ones(len(catalog), np.float32)

    def reward(self, grade: Floats, worth: Floats) -> Floats:  # noqa: D102
        heard = np.where(grade >= np.float32(self.bar), grade, np.float32(-self.skip))
        return np.where(grade > 0, heard, np.float32(0)) * worth

    def expected_reward(self, utility: Floats, worth: Floats) -> Floats:  # noqa: D102
        chance = self._chance(utility, self.bar)
        heard = chance * self._mean_share(utility, chance)
        return (heard - np.float32(self.skip) * (1 - chance)) * worth


@dataclass(frozen=True)
class Funnel:
    """View, put into the cart, buy: three grades; reward is the price of what is bought.

    P(grade at least cart) = sigmoid((u - cart) / width), P(bought) = sigmoid((u - buy) / width): an
    ordered logit (McCullagh, 1980, "Regression models for ordinal data", the proportional odds
    model). Views and carts earn nothing and tell much.

    Attributes:
        cart: utility at which every second view ends in the cart or further, in logits.
        buy: utility at which every second view ends in a purchase, in logits; at least ``cart``.
        width: logits of utility per logit of these odds.
        unit: money per unit of reward.

    Raises:
        ValueError: if buy is below cart.
    """

    cart: float = 4.0
    buy: float = 5.0
    width: float = 1.0
    unit: float = 10.0

    VIEWED: ClassVar[float] = 0.2
    IN_CART: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        if self.buy < self.cart:
            raise ValueError(f"buy must be at least cart ({self.cart}), got {self.buy}")

    def worth(self, catalog: Catalog) -> Floats:  # noqa: D102
        return catalog.value / np.float32(self.unit)

    def grade(self, utility: Floats, uniform: Floats) -> Floats:  # noqa: D102
        depth = uniform[:, 0]
        grade = np.where(
            depth < self._chance(utility, self.cart), self.IN_CART, self.VIEWED
        ).astype(np.float32)
        grade[depth < self._chance(utility, self.buy)] = 1
        return grade

    def likelihood(self, grade: Floats, utility: Floats) -> Floats:  # noqa: D102
        cart, bought = self._chance(utility, self.cart), self._chance(utility, self.buy)
        viewed = grade < np.float32((self.VIEWED + self.IN_CART) / 2)
        return np.where(grade == 1, bought, np.where(viewed, 1 - cart, cart - bought))

    def reward(self, grade: Floats, worth: Floats) -> Floats:  # noqa: D102
        return np.where(grade == 1, worth, np.float32(0))

    def expected_grade(self, utility: Floats) -> Floats:  # noqa: D102
        carts = self._chance(utility, self.cart) * np.float32(self.IN_CART - self.VIEWED)
        buys = self._chance(utility, self.buy) * np.float32(1 - self.IN_CART)
        return np.float32(self.VIEWED) + carts + buys

    def expected_reward(self, utility: Floats, worth: Floats) -> Floats:  # noqa: D102
        return self._chance(utility, self.buy) * worth

    def _chance(self, utility: Floats, middle: float) -> Floats:
        return sigmoid((utility - np.float32(middle)) / np.float32(self.width))


_LEAST = np.float32(1e-3)  # grade of what is taken and put away at once

RESPONSES: dict[str, type[Response]] = {
    "click": Click,
    "watch": Watch,
    "read": Read,
    "listen": Listen,
    "funnel": Funnel,
}
