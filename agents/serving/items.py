"""The catalogue as a service needs it: names in, names out, and the requests that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog

from .event import shown


@dataclass(frozen=True, eq=False)
class Items:
    """N items in C topics, and R requests.

    Attributes:
        ids: [N] the owner's item ids, unique.
        title: [N].
        topic: [N] main topic of each.
        topic_names: [C].
        requests: [R] texts of the requests that the model knows, the first of which means "none".
    """

    ids: tuple[str, ...]
    title: tuple[str, ...]
    topic: npt.NDArray[np.int32] = field(repr=False)
    topic_names: tuple[str, ...]
    requests: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {name: item for item, name in enumerate(self.ids)})
        for name in ("title", "topic"):
            if len(getattr(self, name)) != len(self.ids):
                raise ValueError(
                    f"{name} must have one entry per item ({len(self.ids)}), "
                    f"got {len(getattr(self, name))}"
                )

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, catalog: Catalog, requests: Sequence[str]) -> Items:
        """The items of a catalogue."""
        topic = catalog.main_topic
        return cls(catalog.ids, catalog.title, topic, catalog.topic_names, tuple(requests))

    def index(self, item_id: str) -> int:
        """Place of an item.

        Raises:
            ValueError: where the catalogue has none of that id.
        """
        index: dict[str, int] = self._index  # type: ignore[attr-defined]
        if item_id not in index:
            raise ValueError(f"item must be an id of the catalogue, got {shown(item_id)}")
        return index[item_id]

    def rows(self, exclude: Any) -> npt.NDArray[np.int64]:
        """Places of the items of some ids, each once.

        Raises:
            ValueError: where it is no collection of ids, or holds one that the catalogue has not.
        """
        if isinstance(exclude, str | bytes) or not isinstance(exclude, Iterable):
            raise ValueError(f"exclude must be a collection of item ids, got {shown(exclude)}")
        index: dict[str, int] = self._index  # type: ignore[attr-defined]
        rows = set()
        for item_id in exclude:
            if not isinstance(item_id, str) or item_id not in index:
                raise ValueError(
                    f"exclude must hold ids of the catalogue alone, got {shown(item_id)}"
                )
            rows.add(index[item_id])
        return np.array(sorted(rows), np.int64)

    def plain(self) -> dict[str, Any]:
        """The texts, for JSON."""
        names = ("ids", "title", "topic_names", "requests")
        return {name: list(getattr(self, name)) for name in names}


def match_request(text: str | None, known: Sequence[str]) -> int:
    """The known request that shares most words with ``text``; 0 where none shares any.

    Args:
        text: what the user asks for, in words.
        known: [R] texts of the requests, the first of which means "none".
    """
    words = _words(text or "")
    if not words:
        return 0
    overlap = [len(words & _words(request)) / (1 + len(_words(request))) for request in known]
    best = int(np.argmax(overlap))
    return best if overlap[best] > 0 else 0


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2}
