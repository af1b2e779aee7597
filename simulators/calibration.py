"""Calibration: does the interest of simulated users last as long as that of real ones?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .simulator import Simulator
from .streams import Floats

LAGS = 8  # windows
WINDOW = 20  # items taken

# The same measure on real logs. Online Retail (Chen, 2015, UCI): 1,091 customers, order lines.
# Last.fm (HetRec 2011; Cantador, Brusilovsky & Kuflik): 201 listeners who tag, their artists.
REAL: dict[str, tuple[float, ...]] = {
    "Online Retail": (0.83, 0.72, 0.67, 0.63, 0.60, 0.57, 0.56, 0.54),
    "Last.fm": (0.91, 0.84, 0.81, 0.79, 0.77, 0.77, 0.75, 0.75),
}


@dataclass(frozen=True)
class InterestCurve:
    """How long interest lasts.

    Attributes:
        autocorrelation: [8] S(lag) / S(0) at lags of 1 to 8 windows of 20 items taken, S the
            covariance of a user's mean topics in two windows, around the mean of all users.
        stable: A of the fit A + B exp(-lag / tau): the share of the preference that stays.
        half_life: tau ln 2, of the part that does not stay, in items taken.
    """

    autocorrelation: npt.NDArray[np.float64]
    stable: float
    half_life: float

    @classmethod
    def fit(cls, autocorrelation: npt.ArrayLike) -> InterestCurve:
        """The curve through S(lag) / S(0) [8]."""
        from scipy.optimize import curve_fit  # slow to import

        curve = np.asarray(autocorrelation, np.float64)
        lag = np.arange(1, len(curve) + 1)
        (stable, _, tau), _ = curve_fit(
            lambda t, a, b, tau: a + b * np.exp(-t / tau),
            lag,
            curve,
            p0=(np.clip(curve[-1], -1, 1), np.clip(1 - curve[-1], 0, 2), 2.0),
            bounds=((-1, 0, 0.2), (1, 2, 40)),
        )
        return cls(curve, float(stable), float(tau * np.log(2) * WINDOW))


def interest_curve(
    simulator: Simulator, num_users: int = 400, num_windows: int = 12, seed: int = 0
) -> InterestCurve:
    """Measures users who live under the logging policy and never leave.

    S(0) is the covariance of two halves of one window, so that the noise of single items does not
    count as interest that fades.

    Args:
        simulator: the world.
        num_users: users who are observed.
        num_windows: windows of 20 items taken by each; at least 9.
        seed: of the first user.

    Raises:
        ValueError: if num_windows is below 9, or the users hardly take anything.
    """
    if num_windows <= LAGS:
        raise ValueError(f"num_windows must be at least {LAGS + 1}, got {num_windows}")
    items = _taken(simulator, num_users, num_windows * WINDOW, seed)
    topics = simulator.world.catalog.topics[items]  # [B, windows * 20, C]
    topics = topics - topics.mean((0, 1))
    halves = topics.reshape(len(items), num_windows, WINDOW // 2, 2, -1).mean(2)
    means = halves.mean(2)  # [B, windows, C]
    at_once = _covariance(halves[:, :, 0], halves[:, :, 1])
    later = [_covariance(means[:, :-lag], means[:, lag:]) for lag in range(1, LAGS + 1)]
    return InterestCurve.fit(np.array(later) / at_once)


def _covariance(one: Floats, other: Floats) -> float:
    return float((one * other).sum(2).mean())


def _taken(simulator: Simulator, num_users: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """[<= num_users, count] the first items that users take, of those who take so many in time."""
    users, _, _ = simulator.start(seed + np.arange(num_users), np.zeros(num_users, np.int64))
    steps = np.array(
        [
            simulator.step(users, simulator.logged_slates(users))[0].item
            for _ in range(4 * count)  # enough for users who take every third slate
        ]
    ).T  # [B, steps]
    taken = np.take_along_axis(steps, np.argsort(steps < 0, axis=1, kind="stable"), axis=1)
    enough = (steps >= 0).sum(1) >= count
    if enough.sum() < num_users / 10:
        raise ValueError(f"{simulator.domain.name}: users take too little to be measured")
    return taken[enough, :count]
