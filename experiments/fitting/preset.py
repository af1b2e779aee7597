"""A domain whose simulated users drift as those of a log do: its knobs, and its folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog, Domain, Simulator, build_world
from driftrec.simulators.affinity import fit_affinity
from driftrec.simulators.drift import Drift, GradualDrift, Satiation, SeasonalDrift, SessionInterest
from driftrec.simulators.fitted import save_fitted
from driftrec.simulators.records import Item, build_catalog

from .free import Rhythm, free_log
from .habits import PERIODS, RECOVERY, fit_satiation, fit_season, season_sums, topic_sums
from .interest import LAGS, fit_interest, interest_sums, stable_share
from .items import ItemTable
from .reading import EventLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_USERS = 300


@dataclass(frozen=True)
class Knobs:
    """What is tuned until simulated users measure like real ones.

    Attributes:
        affinity: utility per unit of <interest, attributes>, in logits.
        fading: length of the part of interest that fades, beside the stable part's 1.
        satiation: logits by which a topic just taken is less welcome; 0 where it is more so, as
            users who take more and more of a topic would never leave it.
    """

    affinity: float = 6.0
    fading: float = 0.8
    satiation: float = 0.0


@dataclass(frozen=True)
class Measured:
    """The figures by which simulated and real users are matched.

    Attributes:
        level: squared length of the interest of a window.
        stable: share that does not fade, where the rest fades as in the log.
        loss: satiation, where interest fades as in the log.
        half_life: events, of what fades here.
        seasons: share of interest that goes round with each period.
    """

    level: float
    stable: float
    loss: float
    half_life: float
    seasons: dict[str, float]


def make_domain(
    base: Domain, knobs: Knobs, half_life: float, abrupt: float, seasons: dict[str, float]
) -> Domain:
    """A domain of one request an event: the fading part wanders or jumps, in these shares."""
    drift: list[Drift] = []
    if knobs.fading > 0 and abrupt < 1:
        spread = float(knobs.fading * np.sqrt(1 - abrupt))
        # Brought back to the sphere after each step, the taste forgets so much faster.
        faster = spread**2 + 1 / np.sqrt(1 + spread**2)
        drift.append(GradualDrift(half_life=half_life * float(faster), spread=spread))
    for period, share in seasons.items():
        # |b|^2 / 2 of the interest's 1 + fading^2 is seasonal.
        weight = np.sqrt(2 * share * (1 + knobs.fading**2))
        drift.append(SeasonalDrift(period={"day": 24.0, "week": 168.0}[period], weight=weight))
    if knobs.fading > 0 and abrupt > 0:
        weight = float(knobs.fading * np.sqrt(abrupt))
        drift.append(SessionInterest(half_life=half_life, weight=weight, following=0.0))
    if knobs.satiation > 0:
        drift.append(Satiation(half_life=RECOVERY, weight=knobs.satiation))
    return replace(base, affinity=knobs.affinity, drift=tuple(drift))


def measure_users(
    simulator: Simulator,
    vectors: Floats,
    window: int,
    rhythm: Rhythm,
    half_life: float,
    seasons: Collection[str] = (),
    seed: int = 0,
    num_users: int = _USERS,
) -> Measured:
    """Measures simulated users as the log's were: by the log's ``half_life``, which is a yardstick.

    Seasons that so few events cannot show are left out.
    """
    log = free_log(simulator, num_users, (LAGS + 2) * window, seed, rhythm)
    once = np.ones((1, num_users))
    interest = fit_interest(interest_sums(log, vectors, window), once)
    topic = simulator.world.topic.astype(np.int64)
    loss = fit_satiation(topic_sums(log, topic), once, np.array([half_life])).loss
    stable = stable_share(interest.curve, half_life, window)
    found = {}
    for name in seasons:
        sums = season_sums(log, vectors, PERIODS[name])
        if sums.any():
            found[name] = float(fit_season(sums, once, interest.level)[0])
    return Measured(
        float(interest.level[0]),
        float(stable[0]),
        float(loss[0]),
        float(interest.half_life[0]),
        found,
    )


# --- the world that an environment runs


def fitted_catalog(
    name: str, items: ItemTable, topics: Sequence[Sequence[str]], log: EventLog, size: int = 32
) -> tuple[Catalog, Ints]:
    """The items that the log's users took, with attributes and tastes from who took what.

    Attributes and tastes are a truncated singular value decomposition, ``fit_affinity``; quality is
    the logarithm of popularity, as users who choose freely show it.

    Returns:
        The catalogue, and the rows [N] of the table that are in it.
    """
    rows = np.flatnonzero(np.bincount(log.item, minlength=len(items)))
    number = np.zeros(len(items), np.int64)
    number[rows] = np.arange(len(rows))
    sizes = (log.num_users, len(rows))
    affinity = fit_affinity(log.user, number[log.item], np.ones(len(log)), *sizes, size)
    described = [
        Item(
            id=items.ids[i],
            title=items.title[i],
            description=items.description[i],
            topics=tuple((t, 2.0 if k == 0 else 1.0) for k, t in enumerate(topics[i])),
            value=items.value[i],
            quality=float(np.log(log.popularity[i] + 1)),
        )
        for i in rows.tolist()
    ]
    catalog = build_catalog(name, described, None, size, 1)
    return replace(catalog, affinity=affinity), rows


def request_domain(domain: Domain, catalog: Catalog, rhythm: Rhythm, seed: int = 0) -> Domain:
    """The domain where items are shown in slates: users take something from every second one.

    What they would have left untaken no log without slates tells: the outside option is set so that
    a user takes from half of the slates of the warm-up, and times are doubled, so that interest
    lasts as many events as it did.
    """
    per_event = 2.0
    slower = {"gradual", "session", "satiation"}
    drift = tuple(
        replace(p, half_life=per_event * p.half_life) if p.name in slower else p  # type: ignore
        for p in domain.drift
    )
    hours = max(rhythm.within, 1.0) / 3600 / per_event
    domain = replace(domain, name=catalog.name, words="", drift=drift, hours_per_request=hours)
    world = build_world(catalog, domain.population, None, (), 0)
    simulator = Simulator(domain, world, slate_size=min(10, len(catalog)), history=20)
    users, slates, _ = simulator.start(seed + np.arange(64), np.zeros(64, np.int64))
    utility = simulator.utility(users, slates[:, -1])
    low, high = -50.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        choice = replace(domain.choice, outside=middle)  # type: ignore[type-var]
        taken = 1 - choice.probability(utility)[:, -1].mean()
        low, high = (middle, high) if taken > 0.5 else (low, middle)
    return replace(domain, choice=choice)


def write_preset(folder: Path, domain: Domain, catalog: Catalog, comment: str) -> None:
    """Writes the world's files into ``folder``: all, or none where one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".preset-") as temporary:
        save_fitted(Path(temporary), domain, catalog, comment)
        for file in sorted(Path(temporary).iterdir()):
            os.replace(file, folder / file.name)
