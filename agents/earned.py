"""What a grade earns, as the platform's own books show it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit, logit
from torch import Tensor

from .tape import Episodes

_BINS = 40  # of grades
_GRID = np.linspace(-6, 6, 49)  # log-odds of the grade that is foreseen
_QUANTILES = (np.arange(100) + 0.5) / 100  # of the noise
_STEEPEST, _LOWEST = 8.0, -3.0  # of the curve that is fitted


class Earned:
    """Reads off answers what is earned by an item of worth 1 as a function of its grade.

    A minute read may count only where the article was read to some point, a sale only where
    something was bought: reward / worth is some function of the grade, known to whoever pays it
    out. By its mean in each of 40 bins, and by the law of grades that the interest was fitted to,
    what is earned where log-odds z of the grade are foreseen is

        R(z) = E[reward / worth | z] ~ floor + (1 - floor) sigmoid(slope z + offset).

    Args:
        worth: [N] reward per unit of feedback.
    """

    def __init__(self, worth: Tensor) -> None:
        self.worth = worth
        self.total, self.count = np.zeros(_BINS), np.zeros(_BINS)

    def read(self, episodes: Episodes) -> None:
        """Adds the answers in which one item was taken."""
        slates, feedback = (x[:, -episodes.steps :] for x in (episodes.slates, episodes.feedback))
        one = ((feedback > 0).sum(-1) == 1) & (episodes.alive > 0)
        grade, place = feedback[one].max(-1)
        item = slates[one].gather(-1, place[:, None])[:, 0]
        earned = (episodes.reward[one] / self.worth[item].clamp_min(1e-6)).numpy()
        bins = np.minimum((grade.numpy() * _BINS).astype(np.int64), _BINS - 1)
        self.total += np.bincount(bins, earned, _BINS)
        self.count += np.bincount(bins, minlength=_BINS)

    def law(self, spread: float) -> tuple[float, float, float]:
        """Slope, offset and floor of R; those of R(z) = sigmoid(z) where nothing was taken.

        Args:
            spread: of a grade's log-odds about those foreseen, the scale of logistic noise.
        """
        known = np.flatnonzero(self.count)
        if not len(known):
            return 1.0, 0.0, 0.0
        middle = (known + 0.5) / _BINS
        grade = expit(_GRID[:, None] + spread * logit(_QUANTILES))
        earned = np.interp(grade, middle, self.total[known] / self.count[known]).mean(1)

        def misses(law: np.ndarray) -> np.ndarray:
            return law[2] + (1 - law[2]) * expit(law[0] * _GRID + law[1]) - earned

        bounds = ([0.0, -np.inf, _LOWEST], [_STEEPEST, np.inf, 0.5])
        slope, offset, floor = least_squares(misses, (1.0, 0.0, 0.0), bounds=bounds).x
        return float(slope), float(offset), float(floor)
