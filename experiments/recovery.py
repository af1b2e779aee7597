"""How fast an agent serves users well again after an abrupt shift of interest.

The measure is the expected reward of the slates shown, as a share of the best possible: it has no
luck of choice in it, and weighs alike users who are easy and hard to please. Users whom the agent
would have driven away stay: else the worst agents would be measured on the few that they please.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .evaluate import EvaluationResult
from .statistics import BootstrapConfig

BEFORE, AFTER = 10, 25  # steps shown on either side of a shift
_SMOOTH = 3  # steps over which "regained" must hold
_SHARE = 0.9  # of the level before the shift

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recovery:
    """Share of the best possible reward around abrupt shifts.

    Offset 0 is the first slate that meets the new interest: the shift lies between -1 and 0.

    Attributes:
        offset: [W] steps since the shift, -BEFORE .. AFTER - 1.
        share: [W] expected reward over the oracle's, of all users, as if nobody left.
        low: [W] lower end of the 95 % interval over shifts.
        high: [W] upper end.
        shifts: how many shifts of users were averaged over; with several training seeds each
            shift counts once.
    """

    offset: npt.NDArray[np.int64] = field(repr=False)
    share: Floats = field(repr=False)
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)
    shifts: int

    @property
    def before(self) -> float:
        """Mean share before the shift."""
        return float(self.share[self.offset < 0].mean())

    def after(self, steps: int = 10) -> float:
        """Mean share in the first ``steps`` steps after the shift."""
        return float(self.share[(self.offset >= 0) & (self.offset < steps)].mean())

    @property
    def steps(self) -> float:
        """Steps until 90 % of the share before the shift is regained, held over three steps.

        Infinite where that takes longer than the window; NaN without shifts. An agent that never
        followed the interest has little to lose and regains it at once, and one that knew it well
        has the furthest to go: read it beside the share, or see ``until``.
        """
        return self.until(self.before)

    def until(self, level: float) -> float:
        """Steps until 90 % of a level is reached, held over three steps; infinite or NaN as above.

        With one level for all, such as what the best bandit's slates are worth before a shift,
        agents are compared by where they are and not by how far they fell.
        """
        if not self.shifts:
            return float("nan")
        after = self.share[self.offset >= 0]
        held = np.convolve(after, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid")
        regained = np.flatnonzero(held >= _SHARE * level - 1e-12)
        return float(regained[0]) if len(regained) else float("inf")


def shifts_of(
    shifts: npt.NDArray[np.bool_], before: int = BEFORE, after: int = AFTER
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the shifts that have whole windows around them.

    Shifts with another one of the same user within the window are left out, as are those too close
    to a session's ends, so every curve mixes the same kinds of moments.

    Args:
        shifts: [T, B] whether the user's interest jumped at the end of the step.
        before: steps wanted before the shift.
        after: steps wanted from the shift on.

    Returns:
        [E] the first step that meets the new interest, and [E] the user.
    """
    horizon = len(shifts)
    step, user = np.nonzero(shifts)
    first = step + 1
    whole = (first >= before) & (first + after <= horizon)
    first, user = first[whole], user[whole]
    count = np.cumsum(np.pad(shifts, ((1, 0), (0, 0))), axis=0)  # [T + 1, B]
    near: npt.NDArray[np.int64] = count[first + after - 1, user] - count[first - before, user]
    return first[near == 1], user[near == 1]


def recovery(
    results: Sequence[EvaluationResult],
    before: int = BEFORE,
    after: int = AFTER,
    config: BootstrapConfig | None = None,
) -> Recovery:
    """Average an agent over shifts and training seeds.

    Args:
        results: one per training seed and block of users, evaluated with ``oracle=True``.
        before: steps before the shift.
        after: steps from the shift on.
        config: how to resample.

    Returns:
        The mean curve with its interval; NaN where nobody shifted.

    Raises:
        ValueError: where a result lacks the oracle's rewards.
    """
    config = config or BootstrapConfig(resamples=500)
    window = np.arange(-before, after)
    parts = [_cut(result, window) for result in results]
    earned, best, name = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not len(earned):
        empty = np.full(len(window), np.nan)
        return Recovery(window, empty, empty, empty, 0)
    _, which = np.unique(name, axis=0, return_inverse=True)
    shifts = int(which.max()) + 1
    # Resampling shifts is weighting them by multinomial counts: one product does all resamples.
    rng = np.random.default_rng(config.seed)
    weights = rng.multinomial(shifts, np.full(shifts, 1 / shifts), config.resamples)[:, which]
    tail = (1 - config.confidence) / 2
    low, high = np.quantile((weights @ earned) / (weights @ best), [tail, 1 - tail], axis=0)
    share = earned.sum(0) / best.sum(0)
    return Recovery(window, share, low, high, shifts)


def _cut(
    result: EvaluationResult, window: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """[E, W] expected and best reward around E shifts; [E, 3] names."""
    if result.expected_rewards is None or result.oracle_rewards is None:
        raise ValueError("results must be evaluated with oracle=True, got one without")
    first, user = shifts_of(result.shifts, -int(window[0]), int(window[-1]) + 1)
    at = first[:, None] + window, user[:, None]
    cut = [a[at].astype(float) for a in (result.expected_rewards, result.oracle_rewards)]
    return cut[0], cut[1], np.stack([np.full_like(first, result.seed), user, first], axis=1)
