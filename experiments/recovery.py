"""How fast reward comes back after an abrupt shift of interest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .evaluate import EvaluationResult
from .statistics import BootstrapConfig

WINDOW = 20  # steps shown before and after a shift
_SMOOTH = 3  # steps over which "regained" must hold
_SHARE = 0.9  # of the reward before the shift


@dataclass(frozen=True)
class Recovery:
    """Mean reward around abrupt shifts, aligned at the first slate that meets the new interest.

    Attributes:
        offset: [2 W] steps since the shift, -W .. W - 1; the shift lies between -1 and 0.
        reward: [2 W] mean reward of the users who are still there.
        low: [2 W] lower end of the 95 % interval over users.
        high: [2 W] upper end.
        shifts: how many shifts were averaged over.
    """

    offset: npt.NDArray[np.int64] = field(repr=False)
    reward: npt.NDArray[np.float64] = field(repr=False)
    low: npt.NDArray[np.float64] = field(repr=False)
    high: npt.NDArray[np.float64] = field(repr=False)
    shifts: int

    @property
    def before(self) -> float:
        """Mean reward of the W steps before the shift."""
        return float(self.reward[self.offset < 0].mean())

    def after(self, steps: int = 10) -> float:
        """Mean reward of the first ``steps`` steps after the shift."""
        return float(self.reward[(self.offset >= 0) & (self.offset < steps)].mean())

    @property
    def steps(self) -> float:
        """Steps until 90 % of the reward before the shift is regained, held over three steps.

        Infinite where that takes longer than the window; NaN without shifts. An agent that never
        followed the interest has little to lose and regains it at once: read it beside the reward.
        """
        if not self.shifts:
            return float("nan")
        after = self.reward[self.offset >= 0]
        held = np.convolve(after, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid")
        regained = np.flatnonzero(held >= _SHARE * self.before)
        return float(regained[0]) if len(regained) else float("inf")


def align(result: EvaluationResult, window: int = WINDOW) -> npt.NDArray[np.float32]:
    """Cut the steps around each shift out of the sessions.

    Shifts with another shift of the same user within the window are left out, as are those too
    close to the session's ends, so every curve mixes the same kinds of moments.

    Args:
        result: the sessions.
        window: W.

    Returns:
        [E, 2 W] rewards of E shifts, NaN after the user left.
    """
    step, user = np.nonzero(result.shifts)
    first = step + 1  # the slate that meets the new interest
    whole = (first >= window) & (first + window <= result.horizon)
    count = np.cumsum(np.pad(result.shifts, ((1, 0), (0, 0))), axis=0)  # [T + 1, B]
    step, user, first = step[whole], user[whole], first[whole]
    near: npt.NDArray[np.int64] = count[first + window, user] - count[first - window, user]
    first, user = first[near == 1], user[near == 1]
    return result.rewards[first[:, None] + np.arange(-window, window), user[:, None]]


def recovery(
    results: Sequence[EvaluationResult],
    window: int = WINDOW,
    config: BootstrapConfig | None = None,
) -> Recovery:
    """Average the curves of an agent over shifts and training seeds.

    Args:
        results: one per training seed (and block of users) of one agent.
        window: W.
        config: how to resample.

    Returns:
        The mean curve with its interval; NaN where nobody shifted.
    """
    config = config or BootstrapConfig(resamples=500)
    rewards = np.concatenate([align(result, window) for result in results])  # [E, 2 W]
    offset = np.arange(-window, window)
    if not len(rewards):
        empty = np.full(2 * window, np.nan)
        return Recovery(offset, empty, empty, empty, 0)
    rng = np.random.default_rng(config.seed)
    here = np.isfinite(rewards)
    earned = np.where(here, rewards, 0).astype(np.float64)
    # Resampling E events is weighting them by multinomial counts: one product for all resamples.
    weights = rng.multinomial(
        len(rewards), np.full(len(rewards), 1 / len(rewards)), config.resamples
    )
    tail = (1 - config.confidence) / 2
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # offsets that nobody reached
        draws = (weights @ earned) / (weights @ here)
        low, high = np.nanquantile(draws, [tail, 1 - tail], axis=0)
        reward = earned.sum(0) / here.sum(0)
    return Recovery(offset, reward, low, high, len(rewards))
