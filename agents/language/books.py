"""The bilingual book catalogue ``books.toml``: invented titles in Chinese and in English."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("books.toml")


@dataclass(frozen=True)
class Book:
    """One book.

    Attributes:
        title: in Chinese.
        english: its title in English.
        topic: in Chinese, and ``topic_english``.
        price: of the topic's books, in yuan.
    """

    title: str
    english: str
    topic: str
    topic_english: str
    price: float


@dataclass(frozen=True)
class Books:
    """The catalogue and a dictionary.

    Attributes:
        books: all of them, topic by topic.
        dictionary: words in Chinese and in English, the topics' names among them.
        unseen: further Chinese titles with their topics, written after all the rest: they test
            what was learnt from it, and are not in the catalogue.
    """

    books: tuple[Book, ...]
    dictionary: tuple[tuple[str, str], ...]
    unseen: tuple[tuple[str, str], ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Everything that is there in both languages: titles, then words."""
        return (*((book.title, book.english) for book in self.books), *self.dictionary)


@lru_cache(maxsize=1)
def load_books() -> Books:
    """Read ``books.toml``."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    words = [tuple(pair) for pair in table["general"]]
    books, unseen = [], []
    for topic in table["topic"]:
        unseen += [(title, topic["zh"]) for title in topic["unseen"]]
        words += [(topic["zh"], topic["en"]), *map(tuple, topic["words"])]
        books += [
            Book(title, english, topic["zh"], topic["en"], float(topic["price"]))
            for title, english in topic["books"]
        ]
    dictionary = tuple((word, meaning) for word, meaning in words)
    return Books(tuple(books), dictionary, tuple(unseen))
