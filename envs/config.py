"""The options of every environment, and the simulator that they make."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from driftrec.simulators import Simulator, build_world, load_domain
from driftrec.simulators.fitted import is_fitted, load_fitted
from driftrec.simulators.readers import load_catalog
from driftrec.simulators.text import WordBank


def make_simulator(
    domain: str,
    slate_size: int = 10,
    history: int = 50,
    drift: str | None = None,
    drift_strength: float = 1.0,
    catalog: str | None = None,
    world_seed: int = 0,
) -> Simulator:
    """The simulator of an environment; it holds no user, so environments may share it.

    Args:
        domain: name of a domain, path of its TOML file, or folder of a fitted world.
        slate_size: K, slots in a slate.
        history: H, slates of the warm-up, all of them observed.
        drift: names of drifts separated by commas, "all", "none"; None for the domain's own.
        drift_strength: 0 is a world that stands still, 1 the domain's.
        catalog: path of a catalogue; None for the domain's own.
        world_seed: of what all users share.

    Raises:
        ValueError: naming the argument, what came and what was expected.
    """
    check_kind("domain", domain, str, "a name or a path")
    check_kind("catalog", catalog, str | None, "a path")
    check_kind("drift", drift, str | None, "names separated by commas")
    check_kind("drift_strength", drift_strength, int | float, "a number")
    if not isinstance(world_seed, int) or world_seed < 0:
        raise ValueError(f"world_seed must be a whole number of at least 0, got {world_seed!r}")
    for name, number in (("slate_size", slate_size), ("history", history)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {number!r}")
    written = _written(domain), _written(catalog)  # a file that has changed is another world
    return _make(domain, slate_size, history, drift, drift_strength, catalog, world_seed, written)


def _written(name: str | None) -> tuple[tuple[str, int], ...]:
    """When the files were written that a path names, and a log beside them; none for a name."""
    path = Path(name or "").expanduser()
    if not name or not path.exists():
        return ()
    files = sorted(path.iterdir()) if path.is_dir() else [path, *path.parent.glob("log.csv")]
    return tuple((file.name, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=4)
def _make(
    domain: str,
    slate_size: int,
    history: int,
    drift: str | None,
    drift_strength: float,
    catalog: str | None,
    world_seed: int,
    written: tuple[object, ...],
) -> Simulator:
    """Made once for all environments that are alike; ``written`` tells files from later ones."""
    knobs = load_domain(domain).with_drift(drift, drift_strength)
    own = catalog is None and is_fitted(domain)
    items = (
        load_fitted(domain)
        if own
        else load_catalog(catalog, knobs.words, knobs.population.dimensions)
    )
    if slate_size > len(items):
        raise ValueError(f"slate_size must be at most {len(items)} (items), got {slate_size}")
    successors, requests = None, tuple((k, name) for k, name in enumerate(items.topic_names))
    if catalog is None and not own:
        bank = WordBank.load(knobs.words)
        successors, requests = bank.successors, bank.requests
    world = build_world(items, knobs.population, successors, requests, world_seed)
    return Simulator(knobs, world, slate_size=slate_size, history=history)


def check_kind(name: str, value: object, kind: Any, told: str) -> None:
    """Refuse an option of another type by its name.

    Raises:
        ValueError: naming the option, what came and what was expected.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {told}, got {value!r}")


def absolute(catalog: str | Path | None) -> str | None:
    """The catalogue's path in a form that names it wherever the process runs."""
    check_kind("catalog", catalog, str | Path | None, "a path")
    return None if catalog is None else str(Path(catalog).expanduser().resolve())


def located(domain: str | Path) -> str:
    """The domain's name, or its path in a form that names it wherever the process runs."""
    path = Path(domain).expanduser()
    return str(path.resolve()) if path.suffix == ".toml" or is_fitted(path) else str(domain)
