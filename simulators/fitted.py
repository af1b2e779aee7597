"""A fitted world in a folder: domain.toml, items.csv and vectors.npz, read by ``domain=FOLDER``."""

from __future__ import annotations

import csv
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .catalog import Affinity, Catalog
from .choice import CHOICES
from .domain import DOMAIN_FILE, Domain
from .readers import load_catalog
from .response import RESPONSES

ITEMS_FILE = "items.csv"
VECTORS_FILE = "vectors.npz"


def is_fitted(path: str | Path) -> bool:
    """Whether a path is the folder of a fitted world."""
    return (Path(path).expanduser() / DOMAIN_FILE).is_file()


def load_fitted(path: str | Path) -> Catalog:
    """The catalogue of a fitted world, with its attributes and tastes.

    Raises:
        ValueError: if a file is missing, or the vectors are not those of the items.
    """
    folder = Path(path).expanduser()
    catalog = load_catalog(folder / ITEMS_FILE)
    if not (folder / VECTORS_FILE).is_file():
        raise ValueError(f"{folder}: expected a file {VECTORS_FILE} beside {DOMAIN_FILE}, got none")
    with np.load(folder / VECTORS_FILE) as arrays:
        items, users = arrays["items"], arrays["users"]
    if len(items) != len(catalog):
        raise ValueError(
            f"{folder / VECTORS_FILE}: expected vectors of the {len(catalog)} items of "
            f"{ITEMS_FILE}, got {len(items)}"
        )
    return replace(catalog, name=folder.resolve().name, affinity=Affinity(items, users))


def save_fitted(folder: Path, domain: Domain, catalog: Catalog, comment: str = "") -> None:
    """Writes a world into a folder that exists.

    Args:
        folder: where.
        domain: its knobs.
        catalog: its items, with an affinity.
        comment: goes above the knobs, line by line.

    Raises:
        ValueError: if the catalogue has no affinity.
    """
    if catalog.affinity is None:
        raise ValueError("catalog must have an affinity fitted on a log, got None")
    affinity = catalog.affinity
    np.savez_compressed(folder / VECTORS_FILE, items=affinity.items, users=affinity.users)
    with (folder / ITEMS_FILE).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        columns = ("item_id", "title", "description", "topics", "value", "quality")
        writer.writerow(columns)
        for i, item in enumerate(catalog.ids):
            shares = catalog.topics[i]
            names = [
                catalog.topic_names[k] for k in np.argsort(-shares, kind="stable") if shares[k] > 0
            ]
            row = (item, catalog.title[i], catalog.description[i], "|".join(names))
            writer.writerow((*row, f"{catalog.value[i]:.6g}", f"{catalog.quality[i]:.6g}"))
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    (folder / DOMAIN_FILE).write_text(head + to_toml(domain), encoding="utf-8")


def to_toml(domain: Domain) -> str:
    """A domain as the TOML that ``load_domain`` reads."""
    plain = [f for f in fields(domain) if f.name != "drift"]
    values = {f.name: getattr(domain, f.name) for f in plain}
    text = "".join(f"{k} = {_scalar(v)}\n" for k, v in values.items() if not is_dataclass(v))
    kinds: dict[Any, str] = {
        kind: name for table in (CHOICES, RESPONSES) for name, kind in table.items()
    }
    for name, part in values.items():
        if is_dataclass(part):
            kind = kinds.get(type(part))
            text += _table(name, part, "" if kind is None else f"kind = {_scalar(kind)}\n")
    return text + "".join(_table(f"drift.{part.name}", part, "") for part in domain.drift)


def _table(name: str, part: Any, kind: str) -> str:
    knobs = "".join(f"{f.name} = {_scalar(getattr(part, f.name))}\n" for f in fields(part))
    return f"\n[{name}]\n{kind}{knobs}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(float(f"{value:.6g}")) if isinstance(value, float) else str(value)
