"""Habits: how soon a topic is taken again, what the hour and the weekday do, how visits come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .interest import PAUSE, centred
from .reading import EventLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
REACH = 60  # events
_APART = 20  # events, beyond which satiation is over and a coincidence tells of taste
RECOVERY = 6.0  # events, half-life of satiation
DAY, WEEK = 86400.0, 7 * 86400.0
PERIODS = {"day": DAY, "week": WEEK}


# --- satiation


@dataclass(frozen=True)
class TopicSums:
    """What each user contributes.

    Attributes:
        same: [U, 60] how often an event has the topic of the event 1 to 60 before it.
        pairs: [U, 60] of how many.
        thrice: [U] how often three events, each 20 apart, have one topic.
        triples: [U] of how many.
        shuffled: [U] same-topic share of two events in random order, times ``pairs`` at lag 1.
    """

    same: Floats
    pairs: Floats
    thrice: Floats
    triples: Floats
    shuffled: Floats


def topic_sums(log: EventLog, topic: Ints) -> TopicSums:
    """Counts coincidences of topics [N] at lags of 1 to 60 events."""
    kind, user, size = topic[log.item], log.user, log.num_users
    same, pairs = np.zeros((2, size, REACH))
    for lag in range(1, REACH + 1):
        alike = user[lag:] == user[:-lag]
        pairs[:, lag - 1] = np.bincount(user[lag:][alike], minlength=size)
        hit = alike & (kind[lag:] == kind[:-lag])
        same[:, lag - 1] = np.bincount(user[lag:][hit], minlength=size)
    three = user[2 * _APART :] == user[: -2 * _APART]
    hit = three & (kind[2 * _APART :] == kind[_APART:-_APART])
    hit &= kind[_APART:-_APART] == kind[: -2 * _APART]
    owner = user[2 * _APART :]
    count = np.zeros((size, int(topic.max()) + 1))
    np.add.at(count, (user, kind), 1)
    total = count.sum(1)
    chance = (count * (count - 1)).sum(1) / np.maximum(total * (total - 1), 1)
    return TopicSums(
        same,
        pairs,
        np.bincount(owner[hit], minlength=size).astype(float),
        np.bincount(owner[three], minlength=size).astype(float),
        chance * pairs[:, 0],
    )


@dataclass(frozen=True)
class SatiationFit:
    """For each of R resamples of the users.

    Attributes:
        curve: [R, 60] probability of the same topic at lags of 1 to 60 events.
        loss: [R] share by which a topic is the less likely just after it was taken, beside what
            interest that fades makes of it; below 0 where it is the more likely.
        lift: [R] odds of the same topic in the next event, over a shuffled order.
    """

    curve: Floats
    loss: Floats
    lift: Floats


def fit_satiation(sums: TopicSums, weight: Floats, half_life: Floats) -> SatiationFit:
    """Satiation, beside interest that fades, under each weighting [R, U] of the users.

    P(same topic at lag l) = A + B 2^(-l / half_life) - v c 2^(-l / 6), by least squares over lags 1
    to 60, with the ``half_life`` [R] of interest. Of 6 events: satiation and the interest of a
    session last about as long, and their half-lives cannot be told apart. v = E[p (1 - p)] over
    events, p the probability of a user's topic: it comes from pairs and triples of events 20 and 40
    apart, which satiation hardly reaches. c is the loss.
    """
    pairs = np.maximum(weight @ sums.pairs, 1)
    curve = (weight @ sums.same) / pairs
    trust = np.sqrt(sums.pairs.sum(0) / sums.pairs.sum())
    lag = np.arange(1, REACH + 1)
    dip = np.zeros(len(curve))
    fades = np.maximum(half_life, 2 * RECOVERY)
    for slow in np.unique(fades):
        mine = fades == slow
        columns = (np.ones(REACH), 2 ** (-lag / slow), -(2 ** (-lag / RECOVERY)))
        design = np.stack(columns, axis=1) * trust[:, None]
        dip[mine] = (curve[mine] * trust) @ np.linalg.pinv(design)[2]
    p = curve[:, _APART - 1]
    p2 = (weight @ sums.thrice) / np.maximum(weight @ sums.triples, 1)
    chance = (weight @ sums.shuffled) / pairs[:, 0]
    return SatiationFit(curve, dip / np.maximum(p - p2, 1e-9), _odds(curve[:, 0]) / _odds(chance))


def _odds(p: Floats) -> Floats:
    return p / np.maximum(1 - p, 1e-12)


# --- seasonality


def season_sums(log: EventLog, vectors: Floats, period: float) -> Floats:
    """[U, 2] what each user contributes to the slope of likeness on the cosine of the phase.

    Over pairs of events of one user that lie at least one whole period apart: the covariance within
    the user of <x, x'> with cos(2 pi (t - t') / period), and the variance of the cosine; all 0
    where the log's times are too coarse to tell phases apart, or a user's events span fewer than
    four periods, over which drift would pass for season.
    """
    taken = centred(log, vectors)
    turn = np.exp(2j * np.pi * log.time / period)
    cycle = np.floor(log.time / period).astype(np.int64)
    begins = np.flatnonzero(np.r_[True, (np.diff(cycle) != 0) | (np.diff(log.user) != 0)])
    owner, when = log.user[begins], cycle[begins]
    next_to = (owner[1:] == owner[:-1]) & (when[1:] == when[:-1] + 1)

    def far(value: npt.NDArray[np.complexfloating]) -> Floats:
        """[U] sum of v v'* over the pairs that are far enough apart, each pair twice."""
        block = np.add.reduceat(value, begins, axis=0)  # [blocks, n]
        near = (np.abs(block) ** 2).sum(1)
        near[1:] += next_to * 2 * (block[1:] * block[:-1].conj()).sum(1).real
        starts = np.searchsorted(owner, np.arange(log.num_users))
        whole = np.add.reduceat(block, starts, axis=0)
        return (np.abs(whole) ** 2).sum(1) - np.bincount(owner, near, minlength=log.num_users)

    ones = np.ones((len(log), 1), complex)
    pairs, cosine = far(ones), far(turn[:, None])
    square = (pairs + far(turn[:, None] ** 2)) / 2
    like, both = far(taken + 0j), far(taken * turn[:, None])
    safe = np.maximum(pairs, 1)
    result = np.stack([both - like * cosine / safe, square - cosine**2 / safe], axis=1)
    span = log.time[log.first[1:] - 1] - log.time[log.first[:-1]]
    telling = (pairs > 0.5) & (result[:, 1] > 1e-3 * pairs) & (span >= 4 * period)
    return np.where(telling[:, None], result, 0)


def fit_season(sums: Floats, weight: Floats, level: Floats) -> Floats:
    """[R] variance of interest that goes round with the period, as a share of ``level`` [R].

    A part cos(2 pi (t + phi) / period) b of the interest makes events d apart alike by
    |b|^2 / 2 cos(2 pi d / period): its variance is the slope of likeness on that cosine.
    """
    top, bottom = (weight @ sums).T
    return np.where(bottom > 0, top / np.maximum(bottom, 1e-12), 0) / level


def rotated(log: EventLog, period: float, seed: int = 0) -> EventLog:
    """The log with each user's events of one cycle moved to another phase: nothing is seasonal."""
    cycle = np.floor(log.time / period).astype(np.int64)
    begins = np.r_[True, (np.diff(cycle) != 0) | (np.diff(log.user) != 0)]
    shift = np.random.default_rng([seed, 3]).random(int(begins.sum())) * period
    moved = np.mod(log.time + shift[np.cumsum(begins) - 1], period)
    return EventLog(log.user, log.item, cycle * period + moved, log.popularity, log.rows, log.share)


# --- visits


@dataclass(frozen=True)
class Visits:
    """How a user's events lie in time.

    Attributes:
        length: [V] events of each sitting: events less than six hours apart.
        within: median seconds between events of one sitting.
        between: median seconds between sittings.
        at_once: median over users with nine windows of events of the share of their events that
            lies in their longest sitting.
    """

    length: Ints
    within: float
    between: float
    at_once: float


def visits(log: EventLog, least: int) -> Visits:
    """Cuts the log into sittings; ``at_once`` over users with ``least`` events or more."""
    gap = np.diff(log.time)
    same = np.diff(log.user) == 0
    begins = np.flatnonzero(np.r_[True, ~same | (gap > PAUSE)])
    length = np.diff(np.r_[begins, len(log)])
    longest = np.zeros(log.num_users)
    np.maximum.at(longest, log.user[begins], length)
    events = np.diff(log.first)
    used = events >= least
    inside, outside = gap[same & (gap <= PAUSE)], gap[same & (gap > PAUSE)]
    return Visits(
        length,
        float(np.median(inside)) if len(inside) else 0.0,
        float(np.median(outside)) if len(outside) else DAY,
        float(np.median((longest / events)[used])) if used.any() else 1.0,
    )
