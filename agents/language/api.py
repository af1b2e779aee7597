"""The text's three functions on plain data: what a user wants, where attention goes, what to show.

    user_data = {"阅读历史": ["鲸鱼之歌"], "浏览历史": [...], "购买历史": [...]}
    user_interest(user_data)                              I = f(H)
    dynamic_attention(user_data, "购买书籍")               A_l of every layer, before and after
    dynamic_recommend(user_data, "购买书籍", top_k=5)      Y, its best k

Without a catalogue of one's own they recommend the project's bilingual books, by MiniLM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from driftrec.simulators import Catalog
from driftrec.simulators.streams import Floats

from .backbones import load_backbone
from .books import load_books
from .bridge import Bridge
from .embeddings import TextEncoder, catalog_texts, item_text
from .maps import LayerAttention, attention_maps
from .recommender import Event, TextConfig, TextRecommender

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


@dataclass(frozen=True)
class Recommendation:
    """One recommended item.

    Attributes:
        rank: from 1.
        item: row of the catalogue.
        title: its title.
        score: Y, comparable within one answer.
    """

    rank: int
    item: int
    title: str
    score: float


@dataclass(frozen=True)
class UserInterest:
    """What is known of a user.

    Attributes:
        vector: [F] I, in the space of the items' centred vectors.
        memories: [S, F] what each time scale holds, the longest first.
        events: the history that it follows from, oldest first.
    """

    vector: Floats
    memories: Floats = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class TextCatalog:
    """Items by their text, and the model that reads them.

    Attributes:
        recommender: scores them.
        titles: [N] the names of each item, in one language or several; the first is shown.
    """

    recommender: TextRecommender
    titles: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls,
        items: Catalog | Iterable[str | Mapping[str, Any]],
        model: str = "minilm",
        *,
        bridge: Bridge | None = None,
        config: TextConfig | None = None,
    ) -> TextCatalog:
        """A catalogue of one's own.

        Args:
            items: a ``Catalog``, titles, or mappings with ``title`` and perhaps ``translation``
                (which the model then reads), ``description`` and ``categories``.
            model: as ``load_backbone`` takes it.
            bridge: for texts in a language that the model cannot read.
            config: how the interest acts.

        Raises:
            ValueError: for an item without a title, fewer than two items, or an unknown model.
        """
        if isinstance(items, Catalog):
            titles: tuple[tuple[str, ...], ...] = tuple((title,) for title in items.title)
            texts = catalog_texts(items)
        else:
            rows: list[dict[str, Any]] = [
                {"title": item} if isinstance(item, str) else dict(item) for item in items
            ]
            names = [_titles(row) for row in rows]
            titles, texts = tuple(names), [_text(row) for row in rows]
        return cls._make(TextEncoder(load_backbone(model)), texts, titles, bridge, config)

    @classmethod
    def books(cls, model: str = "minilm", config: TextConfig | None = None) -> TextCatalog:
        """The project's books. Where the model cannot read Chinese it gets a bridge to it."""
        books = load_books()
        encoder = TextEncoder(load_backbone(model))
        bridge = Bridge.fit(encoder, books.pairs)
        texts = [item_text(book.english, "", [book.topic_english]) for book in books.books]
        titles = tuple((book.title, book.english) for book in books.books)
        return cls._make(encoder, texts, titles, bridge, config)

    @classmethod
    def _make(
        cls,
        encoder: TextEncoder,
        texts: Sequence[str],
        titles: tuple[tuple[str, ...], ...],
        bridge: Bridge | None,
        config: TextConfig | None,
    ) -> TextCatalog:
        names = {title: row for row, several in enumerate(titles) for title in several}
        recommender = TextRecommender(encoder, texts, names=names, bridge=bridge, config=config)
        return cls(recommender, titles)


def user_interest(user_data: UserData, *, catalog: TextCatalog | None = None) -> UserInterest:
    """I = f(H): learnt anew from the history at every call.

    Args:
        user_data: histories by name (``HISTORIES``), or one history; each a sequence of titles,
            (title, feedback) pairs, or mappings with ``title`` and ``feedback``; oldest first,
            histories in the order of time as well. Feedback lies in [-1, 1].
        catalog: the items; the project's books if None.

    Raises:
        ValueError: for data of another form, naming it.
    """
    history = read_events(user_data)
    recommender = (catalog or _books()).recommender
    memories = recommender.memories([history])
    vector = recommender.interest([history])[0]
    return UserInterest(vector.numpy(), memories[0].numpy(), history)


def dynamic_attention(
    user: UserInterest | UserData, request: str, *, catalog: TextCatalog | None = None
) -> list[LayerAttention]:
    """Each layer's attention over history and request, before and after the interest adjusts it.

    Args:
        user: an interest, or the data of which one is made.
        request: what the user asks for, in words; "" if nothing.
        catalog: the items; the project's books if None.

    Raises:
        ValueError: for data of another form, naming it.
    """
    catalog = catalog or _books()
    if not isinstance(user, UserInterest):
        user = user_interest(user, catalog=catalog)
    reading = catalog.recommender.read([user.events], [_checked(request)])
    return attention_maps(catalog.recommender, reading, torch.from_numpy(user.vector)[None])


def dynamic_recommend(
    user_data: UserInterest | UserData,
    request: str,
    top_k: int = 5,
    *,
    catalog: TextCatalog | None = None,
) -> list[Recommendation]:
    """The ``top_k`` items for a user's request, those of the history left out.

    Args:
        user_data: as in ``user_interest``, or an interest.
        request: what the user asks for, in words; "" if nothing.
        top_k: how many, at most as many as there are items.
        catalog: the items; the project's books if None.

    Raises:
        ValueError: for data of another form, or a number out of range, naming it.
    """
    catalog = catalog or _books()
    if isinstance(top_k, bool) or not isinstance(top_k, int | np.integer):
        raise ValueError(f"top_k must be a whole number, got {top_k!r:.60}")
    if not 1 <= top_k <= len(catalog.titles):
        raise ValueError(f"top_k must be from 1 to {len(catalog.titles)}, got {top_k}")
    user = user_data
    if not isinstance(user, UserInterest):
        user = user_interest(user, catalog=catalog)
    interest = torch.from_numpy(user.vector)[None]
    scores = catalog.recommender.scores([user.events], [_checked(request)], interest)[0]
    met = {event.text for event in user.events}
    order = [
        item
        for item in np.argsort(-scores, kind="stable").tolist()
        if met.isdisjoint(catalog.titles[item])
    ]
    return [
        Recommendation(rank, item, catalog.titles[item][0], float(scores[item]))
        for rank, item in enumerate(order[:top_k], 1)
    ]


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


def _checked(request: Any) -> str:
    if not isinstance(request, str):
        raise ValueError(f"request must be a string, got {request!r:.60}")
    return request


def _titles(row: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(row.get("title"), str) or not row["title"].strip():
        raise ValueError(f"an item must have a title, got {row!r:.60}")
    return tuple(row[name] for name in ("title", "translation") if row.get(name))


def _text(row: Mapping[str, Any]) -> str:
    return item_text(
        row.get("translation") or row["title"],
        row.get("description", ""),
        row.get("categories", ()),
    )


@lru_cache(maxsize=1)
def _books() -> TextCatalog:
    return TextCatalog.books()
