"""Knobs with which simulated users measure as those of a log did: indirect inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog, Domain, Simulator, build_world, load_domain

from ..statistics import Interval
from .estimate import DriftEstimate, ends_of
from .free import Rhythm
from .preset import Knobs, Measured, make_domain, measure_users

Floats = npt.NDArray[np.float64]
Measure = Callable[[Knobs], Measured]
_ROUNDS, _MORE = 10, 2  # simulations at most, and for each end of an interval
_CLOSE = 0.015  # of every figure of ``_figures``
_USERS, _MANY = 300, 1000  # simulated in a round, and in the last one
# How log level, log odds of fading and loss answer to log affinity, log fading and satiation,
# where the search begins; from simulated users with half-lives of 16 to 20 events.
_ANSWER = np.array([[1.8, 0.2, -1.1], [0.5, 2.2, -0.85], [-0.3, -0.3, 0.7]])
_STRIDE = np.array([0.45, 0.45, 0.5])
_LOWEST = np.array([-np.inf, np.log(0.02), 0.0])
_HIGHEST = np.array([np.inf, np.log(4.0), 2.0])


@dataclass(frozen=True)
class Calibration:
    """Knobs, how well they match, and how sure the satiation's weight is.

    Attributes:
        domain: the knobs as a domain.
        knobs: found.
        reached: what simulated users measure with them.
        satiation: weight in logits, with the interval of the log's figure carried over and
            widened by the noise of the simulation.
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
    measurement distorts is distorted alike on both sides. The half-life needs none of it: interest
    that jumps is forgotten at the rate of its jumps, whatever is measured of it.

    What one takes the half-life for decides how much satiation a log seems to show, so the interval
    of satiation is that of both together: the knob is sought at the ends of the intervals of loss
    and half-life as well, and what lies between is read off for each resample of the users.

    Args:
        estimate: of the log.
        catalog: the items, with the attributes and tastes that were fitted.
        vectors: [N, D] of the items, in which the log was measured.
        rhythm: when users come.
        base: everything else of the domain; None for the plain one.
        seed: of the simulated users.
    """
    base = base or load_domain("plain")
    abrupt = estimate.abrupt.estimate
    seasons = {
        name: share.estimate
        for name, share in estimate.seasons.items()
        if share.low > max(estimate.seasons_null[name], 0)
    }

    def measure(knobs: Knobs, half_life: float, users: int = _USERS) -> Measured:
        domain = make_domain(base, knobs, half_life, abrupt, seasons)
        world = build_world(catalog, domain.population, None, (), 0)
        simulator = Simulator(domain, world, slate_size=1, history=1)
        return measure_users(simulator, vectors, estimate.window, rhythm, half_life, seed, users)

    half_life = estimate.half_life.estimate
    loss = estimate.satiation.estimate
    target = Measured(estimate.level.estimate, estimate.stable.estimate, loss)
    found = _search(lambda knobs: measure(knobs, half_life), Knobs(), target)
    users = max(_MANY, estimate.users)
    reached = measure(found.knobs, half_life, users)

    def knob(loss: float, half_life: float, users: int = _USERS) -> float:
        wanted = replace(target, loss=loss)
        return _satiation(lambda knobs: measure(knobs, half_life, users), found, wanted)

    # Few users of the rounds are off by as much as the many, say.
    off = found.reached.loss - reached.loss
    satiation = _with_interval(knob, estimate, off, float(np.sqrt(1 + estimate.users / users)))
    domain = make_domain(base, found.knobs, half_life, abrupt, seasons)
    return Calibration(domain, found.knobs, reached, satiation)


def _with_interval(
    knob: Callable[..., float], estimate: DriftEstimate, off: float, wider: float
) -> Interval:
    """Satiation with its interval, ``wider`` than that of the resampled users.

    Args:
        knob: satiation that loss and half-life call for, by so many users.
        estimate: of the log.
        off: what is to be added to the loss.
        wider: factor.
    """
    loss, half_life = estimate.satiation, estimate.half_life
    ends = [knob(side, half_life.estimate) for side in (loss.low, loss.estimate, loss.high)]
    middle = ends[1] + off * (ends[2] - ends[0]) / max(loss.high - loss.low, 1e-9)
    # Half-lives differ by other users' fates, whose noise must not pass for theirs: by many.
    others = [knob(loss.estimate, side, _MANY) for side in (half_life.low, half_life.high)]
    draws = np.interp(estimate.draws[:, 1], [loss.low, loss.estimate, loss.high], ends)
    draws += np.interp(
        np.log(estimate.draws[:, 0]),
        np.log([half_life.low, half_life.estimate, half_life.high]),
        [others[0] - middle, 0.0, others[1] - middle],
    )
    low, high = (middle + wider * (side - ends[1]) for side in ends_of(draws))
    return Interval(float(middle), float(low), float(high))


# --- the search


@dataclass(frozen=True)
class _Found:
    """Knobs, what they measure, and ``answer`` [3, 3], how the figures answer to them there."""

    knobs: Knobs
    reached: Measured
    answer: Floats


def _search(
    measure: Measure,
    knobs: Knobs,
    target: Measured,
    answer: Floats = _ANSWER,
    rounds: int = _ROUNDS,
) -> _Found:
    """Broyden's method (1965, "A class of methods for solving nonlinear simultaneous equations").

    The knobs answer for one another: satiation makes a weak interest look stable, and interest that
    fades hides satiation. Moved each for itself they overshoot, the more so the sooner interest
    fades, and swing for ever.
    """
    place, wanted = _place(knobs), _figures(target)
    reached = measure(knobs)
    best, nearest = _Found(knobs, reached, answer), np.inf
    for k in range(rounds):
        here = _figures(reached)
        rest = _rest(place, wanted - here)
        if np.abs(rest).max() < nearest:
            best, nearest = _Found(_knobs(place), reached, answer), float(np.abs(rest).max())
        if nearest < _CLOSE or k == rounds - 1:
            break
        step = _stride(place, wanted - here, answer)
        if np.abs(step).max() < 1e-6:
            break
        place = place + step
        reached = measure(_knobs(place))
        missed = _figures(reached) - here - answer @ step
        answer = answer + np.outer(missed, step) / (step @ step)
    return replace(best, answer=answer)


def _satiation(measure: Measure, found: _Found, target: Measured) -> float:
    """Satiation at which ``target`` is measured; below 0, where none is simulated, straight on."""
    near = _search(measure, found.knobs, target, found.answer, _MORE)
    rest = _figures(target) - _figures(near.reached)
    rest[:2] = 0
    step = np.linalg.lstsq(near.answer, rest, rcond=None)[0]
    return float(near.knobs.satiation + np.clip(step[2], -5 * abs(rest[2]), 5 * abs(rest[2])))


def _stride(place: Floats, rest: Floats, answer: Floats) -> Floats:
    """The step that the answers call for, within bounds; no satiation below 0."""
    step = np.linalg.lstsq(answer, rest, rcond=None)[0]
    if place[2] + step[2] < 0:
        step[2] = -place[2]
        step[:2] = np.linalg.lstsq(answer[:2, :2], rest[:2] - answer[:2, 2] * step[2], rcond=None)[
            0
        ]
    step = step / max(1.0, float((np.abs(step) / _STRIDE).max()))
    return np.clip(place + step, _LOWEST, _HIGHEST) - place


def _rest(place: Floats, rest: Floats) -> Floats:
    """What is left to do: less loss than without satiation is out of reach."""
    return np.array([*rest[:2], max(rest[2], 0.0) if place[2] <= 0 else rest[2]])


def _place(knobs: Knobs) -> Floats:
    return np.array([np.log(knobs.affinity), np.log(knobs.fading), knobs.satiation])


def _knobs(place: Floats) -> Knobs:
    return Knobs(float(np.exp(place[0])), float(np.exp(place[1])), float(place[2]))


def _figures(measured: Measured) -> Floats:
    stable = float(np.clip(measured.stable, 0.02, 0.98))
    level = max(measured.level, 1e-9)
    return np.array([np.log(level), np.log((1 - stable) / stable), measured.loss])
