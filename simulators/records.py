"""Items and events as files give them, and the catalogue that they make."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .affinity import fit_affinity, popularity_quality
from .catalog import Catalog
from .tables import Row

logger = logging.getLogger(__name__)
Index = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """An item as a file gives it.

    Attributes:
        id: the owner's id.
        title: not empty.
        description: may be empty.
        topics: (name, weight) pairs; none where the file does not say.
        value: minutes or price; 1 where the file has none, so that rewards count items.
        quality: in logits, or None to take it from popularity.
    """

    id: str
    title: str
    description: str
    topics: tuple[tuple[str, float], ...]
    value: float = 1.0
    quality: float | None = None


@dataclass(frozen=True)
class Event:
    """A row of a log: a user took an item, and how strongly."""

    user: str
    item: str
    value: float
    row: Row


def build_catalog(
    name: str,
    items: list[Item],
    events: Iterable[Event] | None,
    latent_size: int,
    min_events: int,
) -> Catalog:
    """The catalogue of the items, with latent vectors where there is a log.

    Raises:
        ValueError: if an event's item is unknown, or no item has ``min_events`` events.
    """
    if events is None:
        return _assemble(name, items, np.zeros(len(items), np.float32))
    user_index, item_index, weight = _read_log(items, events)
    kept = np.flatnonzero(np.bincount(item_index, minlength=len(items)) >= max(min_events, 1))
    if len(kept) == 0:
        raise ValueError(
            f"{name}: no item has at least min_events = {min_events} events in the log"
        )
    message = "%s: kept %d of %d items, those with at least %d events"
    logger.info(message, name, len(kept), len(items), min_events)
    renumber = np.full(len(items), -1, np.int64)
    renumber[kept] = np.arange(len(kept))
    used = renumber[item_index] >= 0
    item_index = renumber[item_index[used]]
    sizes = (int(user_index.max()) + 1, len(kept), latent_size)
    try:
        affinity = fit_affinity(user_index[used], item_index, weight[used], *sizes)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    catalog = _assemble(name, [items[i] for i in kept], popularity_quality(item_index, len(kept)))
    return replace(catalog, affinity=affinity)


def _read_log(items: list[Item], events: Iterable[Event]) -> tuple[Index, Index, Weights]:
    """[E] index of the user, of the item, and weight of every event."""
    position = {item.id: i for i, item in enumerate(items)}
    users: dict[str, int] = {}
    user, item, value = [], [], []
    for event in events:
        if event.item not in position:
            column = "item_id" if "item_id" in event.row.cells else "movieId"
            raise event.row.fault(column, "an item of the catalogue")
        user.append(users.setdefault(event.user, len(users)))
        item.append(position[event.item])
        value.append(event.value)
    return np.array(user, np.int64), np.array(item, np.int64), np.array(value)


def _assemble(name: str, items: list[Item], popularity: npt.NDArray[np.float32]) -> Catalog:
    names, topics = _topic_shares(items)
    quality = np.array(
        [p if i.quality is None else i.quality for i, p in zip(items, popularity, strict=True)]
    )
    return Catalog(
        name=name,
        ids=tuple(item.id for item in items),
        title=tuple(item.title for item in items),
        description=tuple(item.description for item in items),
        topics=topics,
        topic_names=names,
        value=np.array([item.value for item in items], np.float32),
        quality=(quality - quality.mean()).astype(np.float32),
    )


def _topic_shares(items: list[Item]) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """C names and [N, C] shares; an item of no known topic has the mean shares of the others."""
    names = sorted({topic for item in items for topic, _ in item.topics}) or ["unknown"]
    column = {topic: k for k, topic in enumerate(names)}
    shares = np.zeros((len(items), len(names)))
    for i, item in enumerate(items):
        for topic, weight in item.topics:
            shares[i, column[topic]] = weight
    total = shares.sum(1, keepdims=True)
    known = total[:, 0] > 0
    shares /= np.where(total > 0, total, 1)
    shares[~known] = shares[known].mean(0) if known.any() else 1.0
    return tuple(names), shares.astype(np.float32)
