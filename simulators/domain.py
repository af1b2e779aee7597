"""A domain: one file of knobs, ``domains/<name>.toml``, read into frozen dataclasses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from .choice import CHOICES, Choice
from .drift import DRIFTS, Drift
from .knobs import check_knobs
from .response import RESPONSES, Response
from .world import Population

_FOLDER = Path(__file__).parent / "domains"
DOMAIN_FILE = "domain.toml"
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How disappointment turns into leaving.

    A slate changes patience by gain g - loss (1 - g), g the grade of what was taken from it and 0
    where nothing was, up to ``most``: what is taken and soon put away disappoints too. A user whose
    patience is used up leaves.

    Attributes:
        most: patience that a user begins with, and never has more of.
        loss: what a slate of which nothing is taken costs.
        gain: what an item taken to the end gives back.
    """

    most: float = 6.0
    loss: float = 1.0
    gain: float = 2.0


@dataclass(frozen=True)
class Domain:
    """Users, items and reward of one kind of platform.

    Attributes:
        name: of the file.
        words: name of the text bank of its built-in catalogue.
        affinity: utility per unit of <interest, attributes>, in logits.
        hours_per_request: hours that pass from one request to the next.
        exploration: share of uniformly drawn slots in the slates of the warm-up.
        population: layout of items and tastes.
        choice: how an item is taken.
        response: feedback and reward.
        patience: how users leave.
        drift: the processes that move interests, in the order in which they act.
        long_term: whether what pays now can cost later; the gate holds the domain to it.
    """

    name: str
    words: str
    affinity: float
    choice: Choice
    response: Response
    hours_per_request: float = 0.5
    exploration: float = 0.5
    population: Population = field(default_factory=Population)
    patience: Patience = field(default_factory=Patience)
    drift: tuple[Drift, ...] = ()
    long_term: bool = False

    def with_drift(self, names: str | None, strength: float) -> Domain:
        """The domain with some of its drifts, each at a strength.

        Args:
            names: names separated by commas; "all" or None for the preset's, "none" for no drift.
            strength: 0 is a world that stands still, 1 the preset.

        Raises:
            ValueError: for a name that is no drift, or a negative strength.
        """
        if not strength >= 0:
            raise ValueError(f"drift_strength must be a number >= 0, got {strength}")
        return replace(self, drift=tuple(p.scaled(strength) for p in self._named(names)))

    def _named(self, names: str | None) -> tuple[Drift, ...]:
        if names is None or names == "all":
            return self.drift
        if names in ("", "none"):
            return ()
        wanted = [name.strip() for name in names.split(",")]
        for name in wanted:
            if name not in DRIFTS:
                raise ValueError(f"drift must name some of {', '.join(DRIFTS)}, got {name!r}")
        preset = {p.name: p for p in self.drift}
        return tuple(preset.get(n) or DRIFTS[n]() for n in DRIFTS if n in wanted)


def domain_names() -> tuple[str, ...]:
    """The domains that come with the package."""
    return tuple(sorted(p.stem for p in _FOLDER.glob("*.toml") if not p.stem.endswith("_words")))


def load_domain(name: str) -> Domain:
    """Reads a domain by its name, or by the path of a TOML file or fitted folder of one's own.

    Raises:
        ValueError: for an unknown name, table or knob, with the known ones, and for a knob that is
            missing or out of its range.
    """
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not path.is_file():
        path = Path(name).expanduser() / DOMAIN_FILE
    if not path.is_file():
        raise ValueError(
            f"domain must be one of {', '.join(domain_names())}, a .toml file "
            f"or a folder with {DOMAIN_FILE}, got {name!r}"
        )
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    table.setdefault("name", path.stem)
    table["population"] = _build(
        Population, table.get("population", {}), f"{path.name} [population]"
    )
    table["patience"] = _build(Patience, table.get("patience", {}), f"{path.name} [patience]")
    for key, kinds in (("choice", CHOICES), ("response", RESPONSES)):
        table[key] = _build_kind(kinds, table.get(key, {}), f"{path.name} [{key}]")
    drifts = table.get("drift", {})
    for key in drifts:
        if key not in DRIFTS:
            raise ValueError(f"{path.name}: [drift.{key}] must be one of {', '.join(DRIFTS)}")
    table["drift"] = tuple(
        _build(drift, drifts[key], f"{path.name} [drift.{key}]")
        for key, drift in DRIFTS.items()
        if key in drifts
    )
    return _build(Domain, table, path.name)


def _build_kind(kinds: Mapping[str, type[Any]], table: Mapping[str, Any], where: str) -> Any:
    kind: Any = table.get("kind")
    if kind not in kinds:
        raise ValueError(f"{where}: kind must be one of {', '.join(kinds)}, got {kind!r}")
    return _build(kinds[kind], {k: v for k, v in table.items() if k != "kind"}, where)


def _build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    check_knobs(cls, table, where)
    try:
        return cls(**table)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
