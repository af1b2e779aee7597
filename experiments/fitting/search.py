"""Where to begin: affinity, fading and satiation with which users measure much like the log's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .preset import Knobs, Measured

Floats = npt.NDArray[np.float64]
Measure = Callable[[Knobs], Measured]
_ROUNDS = 6  # simulations at most
_CLOSE = 0.015  # of every figure of ``figures``
# How log level, log odds of fading and loss answer to log affinity, log fading and satiation;
# from simulated users with half-lives of 16 to 20 events.
ANSWER = np.array([[1.8, 0.2, -1.1], [0.5, 2.2, -0.85], [-0.3, -0.3, 0.7]])
LOWEST = np.array([-np.inf, np.log(0.02), 0.0])
HIGHEST = np.array([np.inf, np.log(4.0), 2.0])
_STRIDE = np.array([0.45, 0.45, 0.5])


@dataclass(frozen=True)
class Found:
    """Knobs, what they measure, and ``answer`` [3, 3], how the figures answer to them there."""

    knobs: Knobs
    reached: Measured
    answer: Floats


def search(
    measure: Measure,
    knobs: Knobs,
    target: Measured,
    answer: Floats = ANSWER,
    rounds: int = _ROUNDS,
) -> Found:
    """Broyden's method (1965, "A class of methods for solving nonlinear simultaneous equations").

    The knobs answer for one another: satiation makes a weak interest look stable, and interest that
    fades hides satiation. Moved each for itself they overshoot, the more so the sooner interest
    fades, and swing for ever.
    """
    place, wanted = place_of(knobs), figures(target)
    reached = measure(knobs)
    best, nearest = Found(knobs, reached, answer), np.inf
    for k in range(rounds):
        here = figures(reached)
        rest = _rest(place, wanted - here)
        if np.abs(rest).max() < nearest:
            best, nearest = Found(knobs_at(place), reached, answer), float(np.abs(rest).max())
        if nearest < _CLOSE or k == rounds - 1:
            break
        step = _stride(place, wanted - here, answer)
        if np.abs(step).max() < 1e-6:
            break
        place = place + step
        reached = measure(knobs_at(place))
        missed = figures(reached) - here - answer @ step
        answer = answer + np.outer(missed, step) / (step @ step)
    return replace(best, answer=answer)


def _stride(place: Floats, rest: Floats, answer: Floats) -> Floats:
    """The step that the answers call for, within bounds; no satiation below 0."""
    step = np.linalg.lstsq(answer, rest, rcond=None)[0]
    if place[2] + step[2] < 0:
        step[2] = -place[2]
        step[:2] = np.linalg.lstsq(answer[:2, :2], rest[:2] - answer[:2, 2] * step[2], rcond=None)[
            0
        ]
    step = step / max(1.0, float((np.abs(step) / _STRIDE).max()))
    return np.clip(place + step, LOWEST, HIGHEST) - place


def _rest(place: Floats, rest: Floats) -> Floats:
    """What is left to do: less loss than without satiation is out of reach."""
    return np.array([*rest[:2], max(rest[2], 0.0) if place[2] <= 0 else rest[2]])


def place_of(knobs: Knobs) -> Floats:
    """[3] log affinity, log fading, satiation."""
    return np.array([np.log(knobs.affinity), np.log(knobs.fading), knobs.satiation])


def knobs_at(place: Floats) -> Knobs:
    """The inverse of ``place_of``; further entries are passed over."""
    return Knobs(float(np.exp(place[0])), float(np.exp(place[1])), float(place[2]))


def figures(measured: Measured) -> Floats:
    """[3] log level, log odds of fading, loss."""
    stable = float(np.clip(measured.stable, 0.02, 0.98))
    level = max(measured.level, 1e-9)
    return np.array([np.log(level), np.log((1 - stable) / stable), measured.loss])
