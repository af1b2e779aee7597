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

from ..serving.event import shown
from .backbones import load_backbone
from .books import load_books
from .bridge import Bridge
from .embeddings import TextEncoder, catalog_texts, item_text
from .maps import LayerAttention, attention_maps
from .plain import UserData, check_top_k, read_events, read_items, read_request
from .recommender import Event, TextConfig, TextRecommender


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
            ValueError: for an item without a title or with entries of another form, fewer than two
                items, or an unknown model.
        """
        if isinstance(items, Catalog):
            titles: tuple[tuple[str, ...], ...] = tuple((title,) for title in items.title)
            texts = catalog_texts(items)
        else:
            titles, texts = read_items(items)
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
    recommender = _known(catalog).recommender
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
    catalog = _known(catalog)
    if not isinstance(user, UserInterest):
        user = user_interest(user, catalog=catalog)
    reading = catalog.recommender.read([user.events], [read_request(request)])
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
    catalog = _known(catalog)
    check_top_k(top_k, len(catalog.titles))
    user = user_data
    if not isinstance(user, UserInterest):
        user = user_interest(user, catalog=catalog)
    interest = torch.from_numpy(user.vector)[None]
    scores = catalog.recommender.scores([user.events], [read_request(request)], interest)[0]
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


def _known(catalog: TextCatalog | None) -> TextCatalog:
    """The catalogue that was given, or the books."""
    if catalog is None:
        return _books()
    if not isinstance(catalog, TextCatalog):
        raise ValueError(f"catalog must be a TextCatalog or None, got {shown(catalog)}")
    return catalog


@lru_cache(maxsize=1)
def _books() -> TextCatalog:
    return TextCatalog.books()
