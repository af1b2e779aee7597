"""How long interest lasts: a stable share, a share that fades, and whether it fades in jumps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..errors import UserError
from .reading import EventLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LAGS = 8  # windows
WINDOWS = (20, 10, 5)  # events; the first that enough users fill LAGS + 1 times
MONTH = 30.4 * 86400.0
PAUSE = 6 * 3600.0  # seconds without an event that end a sitting
_ENOUGH = 50
_FEW = 10  # users of a month, whose mean counts half beside that of all months
_TAU = np.geomspace(0.2, 20.0, 240)  # windows
_TABLE = np.geomspace(0.2, 20.0, 14)


@dataclass(frozen=True)
class InterestSums:
    """What each user contributes; users count alike, however long their logs.

    Attributes:
        window: events in a window.
        users: [V] users of the log that are long enough.
        product: [V, 9] mean product of a user's interest in two windows, at lags 0 to 8.
        change: [V, 8] mean squared length of the change of interest, at lags 1 to 8.
        change_squared: [V, 8] mean of the square of the former.
    """

    window: int
    users: npt.NDArray[np.int64]
    product: Floats
    change: Floats
    change_squared: Floats


def choose_window(log: EventLog) -> int:
    """The largest window that at least 50 users fill nine times.

    Raises:
        UserError: if there is none.
    """
    length = np.diff(log.first)
    for window in WINDOWS:
        if (length >= (LAGS + 1) * window).sum() >= _ENOUGH:
            return window
    least = (LAGS + 1) * WINDOWS[-1]
    raise UserError(
        f"log must hold {_ENOUGH} users with {least} events or more to measure drift, "
        f"got {int((length >= least).sum())}"
    )


def centred(log: EventLog, vectors: Floats) -> Floats:
    """[E, D] vectors of what was taken, without the mean of all users in the same month.

    A month of few users leans on the mean of all months, as else they would be their own mean.
    """
    month = np.unique(np.floor(log.time / MONTH), return_inverse=True)[1]
    taken = vectors[log.item]
    member = sparse.csr_matrix((np.ones(len(log)), (month, np.arange(len(log)))))
    mean = (member @ taken) / np.bincount(month)[:, None]  # [M, D]
    pairs = np.unique(month * log.num_users + log.user) // log.num_users
    users = np.bincount(pairs)[:, None]
    overall = taken.mean(0)
    return taken - (overall + (mean - overall) * users / (users + _FEW))[month]


def interest_sums(log: EventLog, vectors: Floats, window: int | None = None) -> InterestSums:
    """Measures each user's interest from one window of events to another.

    A window is cut into four interleaved parts of equal interest and independent noise, so that
    the noise of single events counts neither as interest that fades nor as change: products are
    taken between different parts only.

    Args:
        log: the events.
        vectors: [N, D] of the items.
        window: events in a window, None for the largest that enough users fill.

    Raises:
        UserError: if fewer than 50 users are long enough.
    """
    window = window or choose_window(log)
    length = np.diff(log.first)
    long = length >= (LAGS + 1) * window
    used = long[log.user] & (log.place < (length // window * window)[log.user])
    taken = centred(log, vectors)[used].reshape(-1, window, vectors.shape[1])
    parts = np.stack([taken[:, k::4].mean(1) for k in range(4)], axis=1)  # [W, 4, D]
    owner = (np.cumsum(long) - 1)[log.user[used][::window]]
    means = taken.mean(1)
    halves = (parts[:, 0] + parts[:, 2]) / 2, (parts[:, 1] + parts[:, 3]) / 2
    product = [_per_user(owner, (halves[0] * halves[1]).sum(1))]
    change, squared = [], []
    for lag in range(1, LAGS + 1):
        same = owner[lag:] == owner[:-lag]
        who = owner[lag:][same]
        product.append(_per_user(who, (means[lag:] * means[:-lag]).sum(1)[same]))
        moved = parts[lag:][same] - parts[:-lag][same]
        inner = np.einsum("wpd,wqd->wpq", moved, moved)
        pairs = [(inner[:, i, j], inner[:, k, m]) for i, j, k, m in _PAIRINGS]
        change.append(_per_user(who, sum((a + b) for a, b in pairs) / 6))
        squared.append(_per_user(who, sum(a * b for a, b in pairs) / 3))
    columns = (np.stack(c, axis=1) for c in (product, change, squared))
    return InterestSums(window, np.flatnonzero(long), *columns)


_PAIRINGS = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2))


def between_sums(log: EventLog, vectors: Floats, window: int) -> tuple[Ints, Floats, Floats]:
    """Likeness of events of different sittings of a user, for users with nine windows of events.

    Returns:
        [L] lags in events, [V, L] sum of the products of a user's events so far apart and in
        different sittings, and [V, L] how many there are.
    """
    lags = np.arange(window // 2, LAGS * window + 1, max(window // 4, 1))
    taken, user = centred(log, vectors), log.user
    sitting = np.cumsum(np.r_[True, (np.diff(log.time) > PAUSE) | (np.diff(user) != 0)])
    total, pairs = np.zeros((2, log.num_users, len(lags)))
    for k, lag in enumerate(lags):
        used = (user[lag:] == user[:-lag]) & (sitting[lag:] != sitting[:-lag])
        product = np.einsum("ed,ed->e", taken[lag:][used], taken[:-lag][used])
        owner = user[lag:][used]
        total[:, k] = np.bincount(owner, product, log.num_users)
        pairs[:, k] = np.bincount(owner, minlength=log.num_users)
    long = np.diff(log.first) >= (LAGS + 1) * window
    return lags, total[long], pairs[long]


def fit_between(lags: Ints, total: Floats, pairs: Floats, weight: Floats) -> Floats:
    """[R] half-life in events of the likeness of different sittings; users count alike."""
    some = pairs > 0
    mean = np.where(some, total / np.maximum(pairs, 1), 0)
    curve = (weight @ mean) / np.maximum(weight @ some, 1)
    tau = np.geomspace(lags[0] / 2, 4 * lags[-1], 120)
    return fit_curve(curve, tau, lags)[2] * np.log(2)


def _per_user(owner: npt.NDArray[np.int64], value: Floats) -> Floats:
    return np.bincount(owner, value) / np.bincount(owner)


@dataclass(frozen=True)
class InterestFit:
    """The law of interest, for each of R resamples of the users.

    Attributes:
        level: [R] S(0), squared length of a window's interest.
        curve: [R, 8] S(lag) / S(0).
        stable: [R] A of A + B exp(-lag / tau): share that does not fade.
        fading: [R] B.
        half_life: [R] tau ln 2, in events.
        abrupt: [R] share of the fading part that fades in jumps.
        shift_rate: [R] jumps per event, abrupt ln 2 / half_life.
    """

    level: Floats
    curve: Floats
    stable: Floats
    fading: Floats
    half_life: Floats
    abrupt: Floats
    shift_rate: Floats


def fit_interest(sums: InterestSums, weight: Floats) -> InterestFit:
    """The law of interest under each weighting of the users.

    S(lag) is the covariance of a user's mean interest in two windows so far apart, around the mean
    of all users; S(lag) / S(0) = A + B exp(-lag / tau) is fitted at lags 1 to 8 by least squares,
    with A and B at least 0. Gradual and abrupt drift give the same curve, but not the same
    changes: of interest that wanders every window changes a little, of interest that jumps few
    change, all the more. See ``abrupt_share``.

    Args:
        sums: of V users.
        weight: [R, V] how often each user counts.
    """
    share = weight / weight.sum(1, keepdims=True)
    product = share @ sums.product
    level = np.maximum(product[:, 0], 1e-12)
    curve = product[:, 1:] / level[:, None]
    stable, fading, tau = fit_curve(curve)
    half_life = tau * np.log(2) * sums.window
    change, squared = share @ sums.change, share @ sums.change_squared
    abrupt = abrupt_share(change, squared, level * fading, tau, sums.window)
    return InterestFit(
        level, curve, stable, fading, half_life, abrupt, abrupt * np.log(2) / half_life
    )


def fit_curve(
    curve: Floats, taus: Floats = _TAU, lag: Ints | None = None
) -> tuple[Floats, Floats, Floats]:
    """A, B and tau [R] of A + B exp(-lag / tau), least squares with A, B >= 0, to [R, L].

    ``taus`` are those that are tried; ``lag`` [L] is 1, 2, ... unless given.
    """
    lag = np.arange(1, curve.shape[1] + 1) if lag is None else lag
    shape = np.exp(-lag / taus[:, None])  # [G, 8]
    middle = shape - shape.mean(1, keepdims=True)
    slope = curve @ (middle / (middle**2).sum(1, keepdims=True)).T  # [R, G]
    level = curve.mean(1)[:, None] - slope * shape.mean(1)
    alone = curve @ (shape / (shape**2).sum(1, keepdims=True)).T
    fading = np.maximum(np.where(level < 0, alone, slope), 0)
    stable = np.where(fading > 0, np.maximum(level, 0), np.maximum(curve.mean(1), 0)[:, None])
    error = ((curve**2).sum(1)[:, None] - 2 * stable * curve.sum(1)[:, None]) - (
        2 * fading * (curve @ shape.T)
    )
    error += stable**2 * len(lag) + 2 * stable * fading * shape.sum(1)
    error += fading**2 * (shape**2).sum(1)
    best = error.argmin(1)
    rows = np.arange(len(curve))
    return stable[rows, best], fading[rows, best], taus[best]


def stable_share(curve: Floats, half_life: float, window: int) -> Floats:
    """[R] the stable share where the ``half_life`` in events of the rest is given."""
    return fit_curve(curve, np.array([half_life / np.log(2) / window]))[0]


def abrupt_share(
    change: Floats, squared: Floats, fading: Floats, tau: Floats, window: int
) -> Floats:
    """[R] share of the fading interest that fades in jumps, from the spread of its changes.

    With |d|^2 the squared change of interest from one window to another, jumps of rate 1 / tau make

        E|d|^4 = h ((E|d|^2)^2 + kappa^2 (2 b)^2 var_J),

    b the covariance that fades, kappa the share of it that jumps, var_J the variance that the
    squared change of a process of unit covariance has because some pairs of windows see a jump and
    others none (from 4,000 simulated paths; windows may hold jumps themselves). h, which
    is free, takes up what does not depend on the lag: users who differ in how much they change, and
    the few dimensions in which they do. So kappa comes from lags against one another: of
    interest that jumps, changes over short lags are rare and large.

    Args:
        change: [R, 8] E|d|^2.
        squared: [R, 8] E|d|^4.
        fading: [R] covariance that fades, extrapolated to lag 0.
        tau: [R] in windows.
        window: events in a window.
    """
    table = np.array([_jump_variance(round(t, 6), window) for t in _TABLE])  # [G, 8]
    at = np.interp(np.log(tau), np.log(_TABLE), np.arange(len(_TABLE)))
    low = np.minimum(at.astype(int), len(_TABLE) - 2)
    variance = table[low] + (at - low)[:, None] * (table[low + 1] - table[low])
    spread = (2 * fading[:, None]) ** 2 * variance / change**2
    ratio = squared / change**2
    # Short lags have small changes and so noisy ratios.
    trust = change**4 / (change**4).sum(1, keepdims=True)
    x = spread - (trust * spread).sum(1, keepdims=True)
    slope = (trust * x * ratio).sum(1) / np.maximum((trust * x**2).sum(1), 1e-300)
    base = (trust * ratio).sum(1) - slope * (trust * spread).sum(1)
    return np.sqrt(np.clip(slope / np.maximum(base, 1e-12), 0, 1))


@lru_cache(maxsize=64)
def _jump_variance(tau: float, window: int) -> Floats:
    """[8] variance of half the squared change between windows of a process that jumps."""
    rng = np.random.default_rng([window, 7])
    paths, windows = 4000, LAGS + 1
    jumps = rng.random((paths, windows * window)) < 1 - np.exp(-1 / (tau * window))
    segment = np.cumsum(jumps, axis=1)
    number = int(segment.max()) + 1
    where = (np.arange(paths)[:, None] * windows + np.arange(windows * window) // window) * number
    count = np.bincount((where + segment).ravel(), minlength=paths * windows * number)
    part = count.reshape(paths, windows, number) / window
    moved = ((part[:, 1:] - part[:, :1]) ** 2).sum(2) / 2
    return np.asarray(moved.var(0))
