"""Plain data as the public functions take them: histories, requests and items, read and checked."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..serving.event import shown
from .embeddings import check_text, item_text
from .recommender import Event

HISTORIES = {
    "浏览历史": 0.3,
    "阅读历史": 0.6,
    "购买历史": 1.0,
    "browsing history": 0.3,
    "reading history": 0.6,
    "purchase history": 1.0,
}
"""What it says of an item to be in a history of that name: feedback in [0, 1]."""

UserData = Mapping[str, Sequence[Any]] | Sequence[Any]

_OF_ITEMS = ("title", "translation", "description", "categories")


def read_events(user_data: UserData) -> tuple[Event, ...]:
    """The events in plain data, see ``user_interest``.

    Raises:
        ValueError: naming the entry, what came and what was expected.
    """
    if isinstance(user_data, Mapping):
        for name, entries in user_data.items():
            if name not in HISTORIES:
                raise ValueError(
                    f"user_data must have histories of {', '.join(HISTORIES)}, got {name!r:.60}"
                )
            _check_sequence(f"user_data[{name!r}]", entries)
        return tuple(
            _event(entry, HISTORIES[name])
            for name, entries in user_data.items()
            for entry in entries
        )
    _check_sequence("user_data", user_data)
    return tuple(_event(entry, 1.0) for entry in user_data)


def read_request(request: Any) -> str:
    """What is asked for, "" if nothing.

    Raises:
        ValueError: where it is no text.
    """
    check_text("request", request, empty=True)
    return str(request)


def check_top_k(top_k: Any, most: int) -> None:
    """Refuses what is no whole number from 1 to ``most``."""
    if isinstance(top_k, bool) or not isinstance(top_k, numbers.Integral):
        raise ValueError(f"top_k must be a whole number, got {shown(top_k)}")
    if not 1 <= int(top_k) <= most:
        raise ValueError(f"top_k must be from 1 to {most}, got {shown(top_k)}")


def read_items(
    items: Iterable[str | Mapping[str, Any]],
) -> tuple[tuple[tuple[str, ...], ...], list[str]]:
    """Names and texts [N] of items, see ``TextCatalog.of``.

    Raises:
        ValueError: naming the entry, what came and what was expected.
    """
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise ValueError(f"items must be a Catalog, titles or mappings, got {shown(items)}")
    rows = [{"title": item} if isinstance(item, str) else item for item in items]
    for row in rows:
        _check_item(row)
    titles = (tuple(row[name] for name in _OF_ITEMS[:2] if row.get(name)) for row in rows)
    texts = (
        item_text(
            row.get("translation") or row["title"],
            row.get("description", ""),
            row.get("categories", ()),
        )
        for row in rows
    )
    return tuple(titles), list(texts)


def _check_sequence(name: str, value: Any) -> None:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"{name} must be a sequence of titles, got {value!r:.60}")


def _event(entry: Any, feedback: float) -> Event:
    if isinstance(entry, Event):
        return entry
    if isinstance(entry, Mapping):
        unknown = set(entry) - {"title", "feedback"}
        if unknown or "title" not in entry:
            raise ValueError(f"an event must have title and perhaps feedback, got {entry!r:.60}")
        return Event(entry["title"], entry.get("feedback", feedback))
    if isinstance(entry, tuple | list):
        if len(entry) != 2:
            raise ValueError(f"an event must be (title, feedback), got {entry!r:.60}")
        return Event(*entry)
    return Event(entry, feedback)


def _check_item(row: Any) -> None:
    title = row.get("title") if isinstance(row, Mapping) else None
    if not isinstance(title, str) or not title.strip():
        raise ValueError(f"an item must have a title, got {row!r:.60}")
    unknown = set(row) - set(_OF_ITEMS)
    if unknown:
        raise ValueError(f"an item must have {', '.join(_OF_ITEMS)} alone, got {row!r:.60}")
    for name in _OF_ITEMS[:3]:
        check_text(name, row.get(name, ""), empty=True)
    categories = row.get("categories", ())
    if isinstance(categories, str | bytes) or not isinstance(categories, Sequence):
        raise ValueError(f"categories must be a sequence of texts, got {categories!r:.60}")
    for category in categories:
        check_text("categories", category)
