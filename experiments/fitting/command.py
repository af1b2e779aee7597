"""``driftrec fit``: a log and its items in, a world and a report out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog, Simulator, build_world, load_domain

from ..errors import UserError
from ..files import check_writable, write_json
from .calibrate import Calibration, calibrate
from .estimate import DriftEstimate, estimate_drift
from .fidelity import FOLDS, Fidelity, compare, last_events
from .free import Rhythm, free_log
from .interest import LAGS
from .items import read_items, text_vectors, with_topics
from .preset import (
    fitted_catalog,
    request_domain,
    write_preset,
)
from .reading import EventLog, read_log

Ints = npt.NDArray[np.int64]
_USERS = 300  # simulated for the comparison


@dataclass(frozen=True)
class FitConfig:
    """What to read and how.

    Attributes:
        log: CSV or Parquet of events.
        items: CSV of items.
        out: folder of the fitted world.
        columns: names of user_id, item_id and timestamp in the log, where they are others.
        held_out: share of the users of whom catalogue and tastes know nothing, for the comparison;
            drift is measured on all.
        max_events: events that are kept in memory.
        latent_size: D of the attributes.
        seed: of everything random.
    """

    log: Path
    items: Path
    out: Path
    columns: Mapping[str, str] | None = None
    held_out: float = 0.3
    max_events: int = 2_000_000
    latent_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise UserError(f"held_out must be in (0, 1), got {self.held_out}")
        for name in ("max_events", "latent_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class FitResult:
    """What a log gave.

    Attributes:
        name: of the world.
        rows: of the log; users: in it; share: of users kept in memory.
        items: with an event.
        estimate: drift, measured on all users.
        calibration: knobs that reproduce it.
        fidelity: simulated beside held-out users.
    """

    name: str
    rows: int
    users: int
    share: float
    items: int
    estimate: DriftEstimate
    calibration: Calibration
    fidelity: Fidelity

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        estimate = asdict(self.estimate)
        visits = estimate.pop("visits")
        del estimate["draws"]
        visits["length"] = float(np.mean(visits["length"]))
        fidelity = self.fidelity
        return {
            "name": self.name,
            "rows": self.rows,
            "users": self.users,
            "share": self.share,
            "items": self.items,
            "order_is_evidence": self.estimate.order_is_evidence,
            "estimate": estimate | {"visits": visits},
            "knobs": asdict(self.calibration.knobs),
            "reached": asdict(self.calibration.reached),
            "satiation": asdict(self.calibration.satiation),
            "fidelity": {
                "users": fidelity.users,
                "distances": [asdict(d) | {"off": d.off} for d in fidelity.distances],
                "auc": asdict(fidelity.auc),
                "auc_null": fidelity.auc_null,
            },
        }


def fit_command(config: FitConfig) -> FitResult:
    """Reads, measures, calibrates, compares; writes world, report, figure and ``fit.json``.

    Raises:
        UserError: as ``read_log``, ``read_items`` and ``estimate_drift``; or if the folder cannot
            be written.
    """
    from .report import write_report

    check_writable(config.out)
    items = read_items(config.items)
    log = read_log(config.log, items.ids, config.columns, config.max_events, config.seed)
    text = text_vectors(items, config.latent_size, config.seed)
    topics = with_topics(items, text, seed=config.seed)
    fitted, held = log.split(config.held_out, config.seed)
    name = config.out.resolve().name
    catalog, rows = fitted_catalog(name, items, topics, fitted, config.latent_size)
    main = np.unique([names[0] for names in topics], return_inverse=True)[1].astype(np.int64)
    estimate = estimate_drift(log, text, main, seed=config.seed)
    if (found := last_events(held, estimate.window).num_users) < FOLDS:
        raise UserError(
            f"held_out must leave {FOLDS} users with {(LAGS + 1) * estimate.window} events or more "
            f"to compare with, got {config.held_out}, which leaves {found}"
        )
    vectors, topic = text[rows], main[rows]
    rhythm = _rhythm(estimate)
    calibration = calibrate(estimate, catalog, vectors, rhythm, seed=config.seed + 1_000_000)
    simulated = simulate(calibration, catalog, rhythm, estimate.window, config.seed + 2_000_000)
    fidelity = compare(
        _renumbered(held, rows), simulated, vectors, topic, estimate.window, seed=config.seed
    )
    result = FitResult(
        name,
        log.rows,
        log.num_users,
        log.share,
        len(catalog),
        estimate,
        calibration,
        fidelity,
    )
    domain = request_domain(calibration.domain, catalog, rhythm, config.seed)
    if not estimate.order_is_evidence:  # the plain preset's, which is in requests already
        domain = replace(domain, drift=load_domain("plain").drift)
    write_preset(config.out, domain, catalog, comment(result))
    write_json(config.out / "fit.json", result.plain())
    write_report(config.out, result)
    return result


def simulate(
    calibration: Calibration, catalog: Catalog, rhythm: Rhythm, window: int, seed: int
) -> EventLog:
    """A log of users of the fitted world, long enough to be compared."""
    world = build_world(catalog, calibration.domain.population, None, (), 0)
    simulator = Simulator(calibration.domain, world, slate_size=1, history=1)
    return free_log(simulator, _USERS, (LAGS + 1) * window, seed, rhythm)


def _rhythm(estimate: DriftEstimate) -> Rhythm:
    visits = estimate.visits
    length = float(max(visits.length.mean(), 1.0))
    # Exponential: its median is ln 2 of its mean.
    return Rhythm(length, visits.within, visits.between / np.log(2))


def _renumbered(log: EventLog, rows: Ints) -> EventLog:
    """The log of the items in ``rows``, numbered by their place in it."""
    number = np.full(len(log.popularity), -1, np.int64)
    number[rows] = np.arange(len(rows))
    kept = number[log.item] >= 0
    users = np.unique(log.user[kept], return_inverse=True)[1].astype(np.int64)
    return EventLog(
        users,
        number[log.item[kept]],
        log.time[kept],
        log.popularity[rows],
        log.rows,
        log.share,
    )


def comment(result: FitResult) -> str:
    """What stands above the knobs in domain.toml."""
    drift = result.estimate
    lines = [
        f"Fitted by driftrec fit on {result.rows:,} events, {drift.users} users long enough.",
        f"Half-life of the fading interest: {drift.half_life.estimate:.0f} events "
        f"[{drift.half_life.low:.0f}, {drift.half_life.high:.0f}]; stable share "
        f"{drift.stable.estimate:.2f} [{drift.stable.low:.2f}, {drift.stable.high:.2f}].",
        "One event is two requests: users take something from every second slate of the warm-up.",
        "Not in a log without slates, so set and not fitted: [choice], [response], [patience].",
    ]
    if not drift.order_is_evidence:
        lines.append("MOST USERS DID EVERYTHING IN ONE SITTING: the order is no evidence of drift,")
        lines.append("and the drift below is that of the plain preset, not the log's.")
    return "\n".join(lines)
