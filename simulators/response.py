"""Response: the graded feedback of a user on what was taken, and the domain's reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .catalog import Catalog
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
        feedback = np.zeros(self.slates.shape, np.float32)
        rows = np.flatnonzero(self.consumed)
        feedback[rows, self.choice[rows]] = self.grade[rows]
        return feedback


class Response(Protocol):
    """Graded feedback on an item taken, and what it is worth to the platform."""

    def worth(self, catalog: Catalog) -> Floats:
        """[N] reward per unit of graded feedback on each item."""

    def grade(self, utility: Floats, uniform: Floats) -> Floats:
        """[B] utilities of items taken and [B, 2] uniform numbers -> [B] grade in (0, 1]."""

    def expected_grade(self, utility: Floats) -> Floats:
        """Mean of ``grade`` over its noise, for utilities of any shape."""


@dataclass(frozen=True)
class Click:
    """A click is a click: grade 1, reward 1."""

    def worth(self, catalog: Catalog) -> Floats:  # noqa: D102
        return np.ones(len(catalog), np.float32)

    def grade(self, utility: Floats, uniform: Floats) -> Floats:  # noqa: D102
        return np.ones(len(utility), np.float32)

    def expected_grade(self, utility: Floats) -> Floats:  # noqa: D102
        return np.ones_like(utility)


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
        noise = np.log(uniform[:, 0] / (1 - uniform[:, 0])) * np.float32(self.noise)
        return np.maximum(self._share(utility, noise), np.float32(1e-3))

    def expected_grade(self, utility: Floats) -> Floats:
        """By nine quantiles of the noise; within 0.002 of its mean."""
        quantiles = (np.arange(9, dtype=np.float32) + np.float32(0.5)) / 9
        noise = np.log(quantiles / (1 - quantiles)) * np.float32(self.noise)
        return sum(self._share(utility, z) for z in noise) / np.float32(len(noise))

    def _share(self, utility: Floats, noise: Floats) -> Floats:
        return 1 / (
            1 + np.exp((np.float32(self.middle) - utility) / np.float32(self.width) - noise)
        )


RESPONSES: dict[str, type[Click] | type[Watch]] = {"click": Click, "watch": Watch}
