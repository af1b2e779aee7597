"""What a log says about drift, each figure with an interval over its users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..statistics import Interval
from .habits import (
    PERIODS,
    Visits,
    fit_satiation,
    fit_season,
    rotated,
    season_sums,
    topic_sums,
    visits,
)
from .interest import (
    LAGS,
    InterestFit,
    between_sums,
    fit_between,
    fit_interest,
    interest_sums,
    stable_share,
)
from .reading import EventLog

Floats = npt.NDArray[np.float64]
_ONE_SITTING = 0.5  # share of a user's events in one sitting above which order says nothing


@dataclass(frozen=True)
class DriftEstimate:
    """Drift as a log shows it; intervals at 95 %, over users.

    Attributes:
        users: who are long enough to be measured.
        window: events in a window.
        curve: autocorrelation of interest at lags of 1 to 8 windows.
        shuffled: the same at lags 1 to 8 with each user's events in random order.
        level: squared length of the interest of a window.
        stable: share of the interest that does not fade.
        brief: share that is over within a window.
        half_life: events, of the rest.
        between: the same from pairs of events of different sittings only, so that what holds a
            sitting together, a basket or an hour of the day, does not count as interest that fades.
        abrupt: share of the rest that fades in jumps.
        shift_rate: jumps per event.
        satiation: share by which a topic is the less likely just after it was taken.
        lift: odds that the next event has the same topic, over a shuffled order.
        seasons: share of interest that goes round with the day and with the week.
        seasons_null: 97.5 % quantile of the same with the phases of each cycle shuffled.
        visits: how events lie in time.
        draws: [R] of each figure by which users are calibrated, in each resample of the users:
            level, half_life, abrupt and the seasons; and, with the half-life of the whole log,
            stable and loss.
    """

    users: int
    window: int
    curve: tuple[Interval, ...]
    shuffled: tuple[float, ...]
    level: Interval
    stable: Interval
    brief: Interval
    half_life: Interval
    between: Interval
    abrupt: Interval
    shift_rate: Interval
    satiation: Interval
    lift: Interval
    seasons: dict[str, Interval]
    seasons_null: dict[str, float]
    visits: Visits
    draws: dict[str, Floats]

    @property
    def order_is_evidence(self) -> bool:
        """Whether the order of events is spread over time, so that it can tell of drift."""
        return self.visits.at_once < _ONE_SITTING


def estimate_drift(
    log: EventLog,
    vectors: Floats,
    topic: npt.NDArray[np.int64],
    *,
    resamples: int = 1000,
    nulls: int = 20,
    seed: int = 0,
    window: int | None = None,
) -> DriftEstimate:
    """Measures a log.

    Args:
        log: the events.
        vectors: [N, D] of the items, from their texts.
        topic: [N] main topic of each item.
        resamples: bootstrap samples of the users.
        nulls: shuffles of the phases.
        seed: of both.
        window: events in a window, None for the largest that enough users fill.

    Raises:
        UserError: if fewer than 50 users are long enough.
    """
    rng = np.random.default_rng([seed, 5])
    sums = interest_sums(log, vectors, window)
    measured = log.only(np.isin(np.arange(log.num_users), sums.users))
    weight = resampled(rng, len(sums.users), resamples)
    between = fit_between(*between_sums(log, vectors, sums.window), weight)
    interest = fit_interest(sums, weight)
    shuffled = fit_interest(interest_sums(log.shuffled(seed), vectors, sums.window), weight[:1])
    topics = topic_sums(measured, topic)
    satiation = fit_satiation(topics, weight, interest.half_life)
    same = np.full(len(weight), interest.half_life[0])
    seasons, chance = _seasons(measured, vectors, weight, interest.level, nulls)
    draws = {
        "level": interest.level,
        "stable": stable_share(interest.curve, float(same[0]), sums.window),
        "loss": fit_satiation(topics, weight, same).loss,
        "half_life": interest.half_life,
        "abrupt": interest.abrupt,
        **seasons,
    }
    return DriftEstimate(
        users=len(sums.users),
        window=sums.window,
        curve=tuple(interval(column) for column in interest.curve.T),
        shuffled=tuple(shuffled.curve[0]),
        **_intervals(interest),
        between=interval(between),
        satiation=interval(satiation.loss),
        lift=interval(satiation.lift),
        seasons={name: interval(share) for name, share in seasons.items()},
        seasons_null=chance,
        visits=visits(log, (LAGS + 1) * sums.window),
        draws={name: values[1:] for name, values in draws.items()},
    )


def _seasons(
    log: EventLog, vectors: Floats, weight: Floats, level: Floats, nulls: int
) -> tuple[dict[str, Floats], dict[str, float]]:
    """The seasonal shares, and what chance makes of them: phases shuffled ``nulls`` times."""
    seasons, chance = {}, {}
    for name, period in PERIODS.items():
        sums = season_sums(log, vectors, period)
        seasons[name] = fit_season(sums, weight, level)
        null = [season_sums(rotated(log, period, k), vectors, period) for k in range(nulls)]
        shares = [fit_season(sums, weight[:1], level[:1])[0] for sums in null]
        chance[name] = float(np.quantile(shares, 0.975))
    return seasons, chance


def _intervals(fit: InterestFit) -> dict[str, Interval]:
    names = ("level", "stable", "half_life", "abrupt", "shift_rate")
    found = {name: interval(getattr(fit, name)) for name in names}
    return found | {"brief": interval(np.maximum(1 - fit.stable - fit.fading, 0))}


def resampled(rng: np.random.Generator, size: int, resamples: int) -> Floats:
    """[1 + R, U] weights of the users: each once, then bootstrap samples."""
    drawn = rng.multinomial(size, np.full(size, 1 / size), resamples)
    return np.concatenate([np.ones((1, size)), drawn])


def interval(values: Floats) -> Interval:
    """The first value, with the 95 % interval of the others."""
    return Interval(float(values[0]), *ends_of(values[1:]))


def ends_of(draws: Floats) -> tuple[float, float]:
    """95 % interval of resampled values.

    Quantiles at 1.25 and 98.75 %: percentile intervals of these figures cover less than their
    nominal level, and ``benchmarks/fit_recovery.py`` finds 95 % at this one. Source: Loh (1987),
    "Calibrating confidence coefficients".
    """
    low, high = np.quantile(draws, [0.0125, 0.9875])
    return float(low), float(high)
