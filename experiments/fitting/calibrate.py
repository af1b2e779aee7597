"""Knobs with which simulated users measure as those of a log did: indirect inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog, Domain, Simulator, build_world, load_domain

from ..statistics import Interval
from .estimate import DriftEstimate
from .free import Rhythm
from .preset import Knobs, Measured, make_domain, measure_users
from .search import ANSWER, HIGHEST, LOWEST, figures, knobs_at, place_of, search
from .surface import Surface

Floats = npt.NDArray[np.float64]
Simulate = Callable[[Floats, int], Floats]
_USERS, _MANY = 300, 1000  # simulated for a point of the surface, and in the end
# Around what the search found: log affinity, log fading, satiation, log half-life, share that
# jumps, and every season's share.
_SATIATION, _HALF_LIFE, _ABRUPT, _SEASONS = 2, 3, 4, 5
_BATCHES = (16, 14, 14)  # simulations for the surface
_UNITS = np.array([0.15, 0.2, 0.25, 0.3, 0.3, 0.04])
_REACH = 3.0  # times as far
# Log affinity, log fading and satiation answer for one another; satiation and fading too.
_BENDS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2), (2, 3))
_WEIGHTS = np.linspace(-1.0, 2.0, 301)  # of satiation, that are tested
# Chi-squared that tells a weight from the log: of the normal quantile at the level of ``ends_of``.
_TOLD = 2.24**2


@dataclass(frozen=True)
class Calibration:
    """Knobs, how well they match, and how sure the satiation's weight is.

    Attributes:
        domain: the knobs as a domain.
        knobs: found.
        reached: what simulated users measure with them.
        satiation: weight in logits, with an interval that holds what the log leaves open of all
            figures and the noise of the simulation. Below 0 where a topic just taken is the more
            welcome, of which no users are simulated.
    """

    domain: Domain
    knobs: Knobs
    reached: Measured
    satiation: Interval


def calibrate(
    estimate: DriftEstimate,
    catalog: Catalog,
    vectors: Floats,
    rhythm: Rhythm,
    *,
    base: Domain | None = None,
    seed: int = 0,
) -> Calibration:
    """Finds the knobs with which simulated users measure as the log did.

    Simulates logs of free choices, measures them as the real one was, and moves the knobs until the
    figures agree: indirect inference (Gouriéroux, Monfort & Renault, 1993), so that what the
    measurement distorts is distorted alike on both sides: a daily cycle, say, which comes and goes
    with the visits, passes for interest that fades. A search finds the place, and simulations
    around it tell how the figures answer to the knobs there (``Surface``).

    Satiation's interval inverts a test: it is of the weights for which no other knobs, half-life
    and seasons included, could be told from the log, by the chi-squared of the figures over the
    resamples of the log's users and the noise of the simulations. A log of strong interest that
    soon fades leaves much open: nearly the same figures come of less satiation and less affinity.

    Args:
        estimate: of the log.
        catalog: the items, with the attributes and tastes that were fitted.
        vectors: [N, D] of the items, in which the log was measured.
        rhythm: when users come.
        base: everything else of the domain; None for the plain one.
        seed: of the simulated users.
    """
    plain = base or load_domain("plain")
    names = _told(estimate)

    def domain(place: Floats) -> Domain:
        seasons = dict(zip(names, np.maximum(place[_SEASONS:], 0).tolist(), strict=True))
        half_life = float(np.exp(place[_HALF_LIFE]))
        return make_domain(plain, knobs_at(place), half_life, float(place[_ABRUPT]), seasons)

    def measure(place: Floats, first: int, users: int = _USERS) -> Measured:
        simulated = domain(place)
        world = build_world(catalog, simulated.population, None, (), 0)
        simulator = Simulator(simulated, world, slate_size=1, history=1)
        yardstick = estimate.half_life.estimate
        window = estimate.window
        return measure_users(simulator, vectors, window, rhythm, yardstick, names, first, users)

    def simulate(place: Floats, first: int) -> Floats:
        found = measure(place, seed + first)
        seasons = [found.seasons.get(n, place[_SEASONS + k]) for k, n in enumerate(names)]
        return np.r_[_figures(found), place[_ABRUPT], seasons]

    target, cov = _of_log(estimate, names)
    rest = target[3:]  # as the log shows it, to begin with
    found = search(lambda k: measure(np.r_[place_of(k), rest], seed), Knobs(), _wanted(estimate))
    start = np.r_[place_of(found.knobs), rest]
    surface = _explore(simulate, start, target, cov, seed)
    satiation, place = _with_interval(surface, target, cov)
    reached = measure(place, seed, max(_MANY, estimate.users))
    return Calibration(domain(place), knobs_at(place), reached, satiation)


def _told(estimate: DriftEstimate) -> list[str]:
    """The seasons that are told from chance."""
    seasons, chance = estimate.seasons, estimate.seasons_null
    return [name for name, share in seasons.items() if share.low > max(chance[name], 0)]


def _of_log(estimate: DriftEstimate, names: list[str]) -> tuple[Floats, Floats]:
    """The figures of the log [K], and their covariance over its resamples [K, K]."""
    drawn = estimate.draws
    columns = (drawn[name] for name in ("level", "stable", "loss", "half_life"))
    rows = [_figures(Measured(a, b, c, d, {})) for a, b, c, d in zip(*columns, strict=True)]
    draws = np.column_stack([np.array(rows), drawn["abrupt"], *(drawn[name] for name in names)])
    seasons = [estimate.seasons[name].estimate for name in names]
    target = np.r_[_figures(_wanted(estimate)), estimate.abrupt.estimate, seasons]
    return target, np.cov(draws.T) + 1e-6 * np.eye(len(target))


def _wanted(estimate: DriftEstimate) -> Measured:
    return Measured(
        estimate.level.estimate,
        estimate.stable.estimate,
        estimate.satiation.estimate,
        estimate.half_life.estimate,
        {},
    )


def _figures(measured: Measured) -> Floats:
    level, odds, loss = figures(measured)
    return np.array([level, odds, -np.log(1 - min(loss, 0.95)), np.log(measured.half_life)])


# --- the surface


def _explore(simulate: Simulate, start: Floats, target: Floats, cov: Floats, seed: int) -> Surface:
    """Simulates around ``start``, and again around where the surface so far is like the log."""
    rng = np.random.default_rng([seed, 6])
    size = len(start)
    unit = _UNITS[np.minimum(np.arange(size), _SEASONS)]
    answers = np.eye(size)
    answers[:3, :3] = ANSWER
    least = np.full(size, -np.inf)
    least[_SATIATION:] = [0.0, -np.inf, *np.zeros(size - _ABRUPT)]
    middle = start
    places, known = np.zeros((0, size)), np.zeros((0, size))
    for count in _BATCHES:
        surface = Surface.guessed(middle, unit, least, answers, _BENDS)
        tried = _within(surface, middle + unit * rng.uniform(-1, 1, (count, size)))
        first = _USERS * (1 + len(places))
        shown = [simulate(place, first + _USERS * i) for i, place in enumerate(tried)]
        places, known = np.vstack([places, tried]), np.vstack([known, shown])
        surface = surface.fitted(places, known)
        middle = _nearest(surface, *_profile(surface, target, cov))
    return surface


def _within(surface: Surface, places: Floats) -> Floats:
    """Where users can be simulated; satiation below 0 is mirrored, so that its effect is seen."""
    places = np.clip(places, *_bounds(surface))
    places[:, _SATIATION] = np.abs(places[:, _SATIATION])
    places[:, _ABRUPT] = np.minimum(places[:, _ABRUPT], 1)
    return np.maximum(places, surface.least)


def _bounds(surface: Surface) -> tuple[Floats, Floats]:
    """Not beyond what the surface can tell of all knobs but satiation."""
    least, most = surface.middle - _REACH * surface.unit, surface.middle + _REACH * surface.unit
    least[1], most[1] = max(least[1], LOWEST[1]), min(most[1], HIGHEST[1])
    least[_SATIATION], most[_SATIATION] = _WEIGHTS[0], _WEIGHTS[-1]
    least[_ABRUPT], most[_ABRUPT] = -1.0, 2.0  # beyond 0 and 1 straight on
    return least, most


def _profile(surface: Surface, target: Floats, cov: Floats) -> tuple[Floats, Floats]:
    """For each satiation the other knobs [G, K] that come nearest to the log, and how near [G]."""
    place = np.repeat(surface.middle[None], len(_WEIGHTS), axis=0)
    place[:, _SATIATION] = _WEIGHTS
    place = surface.nearest(target, cov, place, _SATIATION, *_bounds(surface))
    rest = target - surface(place)
    far = np.einsum("gk,gk->g", rest, np.linalg.solve(cov, rest.T).T)
    cov = cov + surface.doubt(place[far.argmin()])  # simulations are as little sure everywhere
    return place, np.einsum("gk,gk->g", rest, np.linalg.solve(cov, rest.T).T)


def _nearest(surface: Surface, line: Floats, distance: Floats) -> Floats:
    """[K] the knobs on ``line`` [G, K] nearest to the log; of what it does not tell, little."""
    best = line[(distance + np.maximum(_WEIGHTS, 0) ** 2).argmin()]
    if best[_SATIATION] < 0:
        best = line[np.abs(_WEIGHTS).argmin()]
    return _within(surface, best[None])[0]


def _with_interval(surface: Surface, target: Floats, cov: Floats) -> tuple[Interval, Floats]:
    """Satiation with its interval, and the knobs [K] that come nearest to the log."""
    line, distance = _profile(surface, target, cov)
    best = int((distance + _WEIGHTS**2).argmin())
    limit = distance.min() + _TOLD
    low, high = (_crossing(distance - limit, best, side) for side in (-1, 1))
    interval = Interval(float(_WEIGHTS[best]), low, high)
    return interval, _nearest(surface, line, distance)


def _crossing(above: Floats, best: int, side: int) -> float:
    """Where from ``best`` on ``above`` [G] first crosses 0, between two weights; else the last."""
    way = np.arange(best, len(above) if side > 0 else -1, side)
    out = np.flatnonzero(above[way] > 0)
    if len(out) == 0:
        return float(_WEIGHTS[way[-1]])
    inside, outside = way[out[0] - 1], way[out[0]]
    share = -above[inside] / (above[outside] - above[inside])
    return float(_WEIGHTS[inside] + share * (_WEIGHTS[outside] - _WEIGHTS[inside]))
