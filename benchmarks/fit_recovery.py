"""Does the fit find the drift that a log was simulated with? Prints how the intervals cover it.

    python benchmarks/fit_recovery.py                          # 100 trials, half an hour
    python benchmarks/fit_recovery.py --first 50 --trials 50   # half of them
    python benchmarks/fit_recovery.py --knob                   # satiation's weight alone

A trial simulates 400 users with one of eight known drifts, measures their log as ``driftrec fit``
does, and asks whether the truth lies in the 95 % interval. Truth: of half-life, shift rate and the
weight of satiation the knobs themselves (of gradual drift the half-life of the taste on the
sphere); of the seasonal share that of the interest itself, which no log shows; of the stable share
and of satiation as a loss of probability, what the log of 4,000 other users shows. So too of
half-life and shift rate where taste has a daily cycle: visits come at other hours, so that the
cycle is itself a context that fades and jumps, and no knob says how fast.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from functools import lru_cache

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from driftrec.experiments.fitting.calibrate import calibrate  # noqa: E402
from driftrec.experiments.fitting.estimate import estimate_drift  # noqa: E402
from driftrec.experiments.fitting.free import Rhythm, free_log  # noqa: E402
from driftrec.experiments.fitting.habits import (  # noqa: E402
    DAY,
    fit_satiation,
    fit_season,
    season_sums,
    topic_sums,
)
from driftrec.experiments.fitting.interest import fit_interest, interest_sums  # noqa: E402
from driftrec.simulators import Simulator, build_world, load_domain  # noqa: E402
from driftrec.simulators.drift import (  # noqa: E402
    Drift,
    GradualDrift,
    Satiation,
    SeasonalDrift,
    SessionInterest,
)
from driftrec.simulators.readers import load_catalog  # noqa: E402

NAMES = ("half-life", "stable share", "shift rate", "satiation", "seasonality", "satiation knob")
USERS, MANY, EVENTS, RHYTHM = 400, 4000, 240, Rhythm()


@dataclass(frozen=True)
class Design:
    """A known drift: ``jumps`` or wandering, of a half-life in events, and habits."""

    jumps: bool
    half_life: float
    satiation: float
    season: float

    @property
    def drift(self) -> tuple[Drift, ...]:
        """The processes."""
        moves: Drift = (
            SessionInterest(half_life=self.half_life, weight=0.8, following=0.0)
            if self.jumps
            else GradualDrift(half_life=self.half_life, spread=0.8)
        )
        habits: list[Drift] = []
        if self.season:
            habits.append(SeasonalDrift(period=24.0, weight=self.season))
        if self.satiation:
            habits.append(Satiation(half_life=6.0, weight=self.satiation))
        return (moves, *habits)


DESIGNS = [
    Design(jumps, half_life, satiation, season)
    for jumps in (True, False)
    for half_life in (20.0, 40.0)
    for satiation, season in ((0.3, 0.0), (0.0, 0.5))
]


@lru_cache(maxsize=1)
def catalog():
    """Every third item of the built-in videos."""
    return load_catalog(None, "video").take(np.arange(0, 1000, 3))


def simulator(design: Design) -> Simulator:
    """Users of a design."""
    domain = replace(load_domain("plain"), affinity=6.0, drift=design.drift)
    world = build_world(catalog(), domain.population, None, (), 0)
    return Simulator(domain, world, slate_size=1, history=1)


@lru_cache(maxsize=len(DESIGNS))
def truth(design: Design) -> dict[str, float]:
    """The figures of a design, by ``NAMES``."""
    seen: list[np.ndarray] = []
    log = free_log(simulator(design), MANY, EVENTS, 10**7, RHYTHM, seen)
    once = np.ones((1, MANY))
    world = simulator(design).world
    shown = fit_interest(interest_sums(log, world.attributes.astype(np.float64), 20), once)
    vectors = np.stack(seen, 1).reshape(-1, seen[0].shape[1])
    real, log = log, replace(log, item=np.arange(len(log)))
    level = fit_interest(interest_sums(log, vectors, 20), once).level
    season = fit_season(season_sums(log, vectors, DAY), once, level)[0]
    faster = 0.8**2 + 1 / np.sqrt(1 + 0.8**2)
    topic = world.topic.astype(np.int64)
    loss = fit_satiation(topic_sums(real, topic), once, shown.half_life).loss[0]
    known = {
        "half-life": design.half_life / (1 if design.jumps else faster),
        "shift rate": np.log(2) / design.half_life if design.jumps else 0.0,
    }
    if design.season:  # the hour is a context too, which comes and goes with the visits
        known = {"half-life": shown.half_life[0], "shift rate": shown.shift_rate[0]}
    return {
        **known,
        "stable share": shown.stable[0],
        "satiation": loss,
        "seasonality": season if design.season else 0.0,
        "satiation knob": design.satiation,
    }


def trial(number: int, knob: bool = False) -> dict[str, tuple[float, float, float, float]]:
    """Truth, estimate and interval of every figure in one trial, or of satiation's weight alone."""
    design = DESIGNS[number % len(DESIGNS)]
    world = simulator(design)
    vectors = world.world.attributes.astype(np.float64)
    topic = world.world.topic.astype(np.int64)
    log = free_log(world, USERS, EVENTS, 10**6 + 1000 * number, RHYTHM)
    measured = estimate_drift(log, vectors, topic, resamples=600, nulls=1, seed=number)
    fitted = calibrate(measured, catalog(), vectors, RHYTHM, seed=10**8 + 10**5 * number)
    intervals = {
        "half-life": measured.half_life,
        "stable share": measured.stable,
        "shift rate": measured.shift_rate,
        "satiation": measured.satiation,
        "seasonality": measured.seasons["day"],
        "satiation knob": fitted.satiation,
    }
    true = {"satiation knob": design.satiation} if knob else truth(design)
    found = {name: intervals[name] for name in true}
    return {n: (true[n], i.estimate, i.low, i.high) for n, i in found.items()}


def main() -> None:
    """Runs the trials and prints what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--knob", action="store_true", help="satiation's weight alone")
    parser.add_argument("--verbose", action="store_true", help="print every trial")
    args = parser.parse_args()
    covered = dict.fromkeys(NAMES[-1:] if args.knob else NAMES, 0)
    width = dict.fromkeys(covered, 0.0)
    for number in range(args.first, args.first + args.trials):
        found = trial(number, args.knob)
        for name, (true, _, low, high) in found.items():
            covered[name] += low <= true <= high
            width[name] += (high - low) / args.trials
        if args.verbose:
            cells = (
                f"{n} {t:.3f}: {e:.3f} [{a:.3f}, {b:.3f}]{'' if a <= t <= b else ' MISSED'}"
                for n, (t, e, a, b) in found.items()
            )
            print(number, DESIGNS[number % len(DESIGNS)], "; ".join(cells), flush=True)
    for name, count in covered.items():
        held = f"truth in the 95 % interval in {count} of {args.trials}"
        print(f"{name:<14} {held}, mean width {width[name]:.3f}")


if __name__ == "__main__":
    main()
