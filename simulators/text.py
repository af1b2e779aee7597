"""Built-in catalogues: items with titles and descriptions, made from a bank of words.

The words are this project's own (``domains/<domain>_words.toml``). A generated catalogue is fair
to its topics: each has as many items as any other, the same mean quality, and is the likely
successor of exactly two others. So no policy can win by showing one topic.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .catalog import Catalog

FOLDER = Path(__file__).parent / "domains"
Index = npt.NDArray[np.int64]
QUALITY_SD = 0.3  # logits, the spread of appeal that all users share


@dataclass(frozen=True)
class TopicWords:
    """What the items of one topic are called.

    Attributes:
        name: the topic.
        value: mean value of an item, in the domain's unit (minutes, price).
        titles: patterns of titles with ``{x}`` or ``{X}`` (capitalised) and perhaps ``{y}``.
        x: subjects.
        y: angles.
        words: vocabulary of the descriptions.
    """

    name: str
    value: float
    titles: tuple[str, ...]
    x: tuple[str, ...]
    y: tuple[str, ...]
    words: tuple[str, ...]

    def all_titles(self) -> list[tuple[str, str]]:
        """Every distinct (title, subject) that the patterns give."""
        found: dict[str, str] = {}
        for pattern, subject in product(self.titles, self.x):
            for angle in self.y if "{y}" in pattern else ("",):
                found.setdefault(_sentence(pattern.format(x=subject, y=angle)), subject)
        return list(found.items())


@dataclass(frozen=True)
class WordBank:
    """The words of one domain, and which topic tends to follow which.

    Attributes:
        domain: name of the domain.
        topics: [C] words of each topic.
        successors: [C, 2] int32, the two topics that users tend to turn to next; every topic is
            the successor of exactly two.
        requests: [R] (topic index, text) of what a user with that topic in mind types.
        browse: the text of a user who asks for nothing in particular.
        descriptions: patterns of descriptions: ``{x} {topic} {a} {b} {c}``.
        also: patterns of the sentence on a second topic: ``{other} {d} {e}``.
        value_range: smallest and largest value of an item.
        value_spread: standard deviation of log value within a topic.
        num_items: size of the catalogue that suits the bank.
    """

    domain: str
    topics: tuple[TopicWords, ...]
    successors: npt.NDArray[np.int32]
    requests: tuple[tuple[int, str], ...]
    browse: str
    descriptions: tuple[str, ...]
    also: tuple[str, ...]
    value_range: tuple[float, float]
    value_spread: float
    num_items: int = 1000

    @property
    def topic_names(self) -> tuple[str, ...]:
        """[C] names of the topics."""
        return tuple(topic.name for topic in self.topics)

    @property
    def request_topic(self) -> npt.NDArray[np.int32]:
        """[R] topic of each request."""
        return np.array([topic for topic, _ in self.requests], np.int32)

    @property
    def request_text(self) -> tuple[str, ...]:
        """[R] text of each request."""
        return tuple(text for _, text in self.requests)

    @classmethod
    def load(cls, domain: str) -> WordBank:
        """Read ``domains/<domain>_words.toml``.

        Raises:
            ValueError: if there is no such domain.
        """
        file = FOLDER / f"{domain}_words.toml"
        if not file.is_file():
            raise ValueError(f"domain must be one of {', '.join(domains())}, got {domain!r}")
        return cls.parse(domain, tomllib.loads(file.read_text(encoding="utf-8")))

    @classmethod
    def parse(cls, domain: str, table: dict[str, Any]) -> WordBank:
        """Build a bank from the table of a TOML file.

        Raises:
            ValueError: if a successor is no topic of the bank.
        """
        rows = table["topic"]
        index = {row["name"]: i for i, row in enumerate(rows)}
        for row in rows:
            if len(row["next"]) != 2 or not set(row["next"]) <= set(index):
                raise ValueError(
                    f"next of topic {row['name']!r} must be two topics of {domain}, "
                    f"got {row['next']}"
                )
        return cls(
            domain=domain,
            topics=tuple(
                TopicWords(
                    name=row["name"],
                    value=float(row["value"]),
                    **{key: tuple(row[key]) for key in ("titles", "x", "y", "words")},
                )
                for row in rows
            ),
            successors=np.array([[index[n] for n in row["next"]] for row in rows], np.int32),
            requests=tuple((i, text) for i, row in enumerate(rows) for text in row["requests"]),
            browse=table["browse"],
            descriptions=tuple(table["descriptions"]),
            also=tuple(table["also"]),
            value_range=(float(table["value_range"][0]), float(table["value_range"][1])),
            value_spread=float(table["value_spread"]),
            num_items=int(table.get("num_items", 1000)),
        )


def domains() -> tuple[str, ...]:
    """Names of the domains that have words."""
    return tuple(sorted(f.name.removesuffix("_words.toml") for f in FOLDER.glob("*_words.toml")))


def generate_catalog(bank: WordBank, num_items: int | None = None, seed: int = 0) -> Catalog:
    """A catalogue of ``num_items`` items in the words of ``bank``.

    Main topics take turns, so their counts differ by at most one. Half of the items (drawn) also
    touch a successor of their topic, with a share of 0.1 to 0.3. Quality is N(0, 0.3) logits with
    its mean taken out of every topic; value is log-normal around the topic's mean.

    Args:
        bank: the words.
        num_items: N, or None for the bank's own; titles repeat only with a number behind them.
        seed: the same seed gives the same catalogue.

    Raises:
        ValueError: if num_items is not positive.
    """
    num_items = bank.num_items if num_items is None else num_items
    if num_items < 1:
        raise ValueError(f"num_items must be at least 1, got {num_items}")
    rng = np.random.default_rng(seed)
    num_topics = len(bank.topics)
    main = rng.permutation(np.arange(num_items) % num_topics)  # [N]
    other = bank.successors[main, rng.integers(2, size=num_items)]  # [N]
    share = np.where(rng.random(num_items) < 0.5, rng.uniform(0.1, 0.3, num_items), 0.0)
    topics = np.zeros((num_items, num_topics), np.float32)
    topics[np.arange(num_items), main] = 1 - share
    topics[np.arange(num_items), other] += share
    title, subject = _titles(bank, main, rng)
    width = len(str(num_items - 1))
    return Catalog(
        name=bank.domain,
        ids=tuple(f"{bank.domain}-{i:0{width}d}" for i in range(num_items)),
        title=title,
        description=_descriptions(bank, main, np.where(share > 0, other, -1), subject, rng),
        topics=topics,
        topic_names=bank.topic_names,
        value=_values(bank, main, rng),
        quality=_qualities(main, num_topics, rng),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _values(bank: WordBank, main: Index, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    spread = np.exp(bank.value_spread * rng.standard_normal(len(main)))
    typical = np.array([topic.value for topic in bank.topics])
    value = typical[main] * spread / _topic_means(spread, main, len(typical))[main]
    return np.clip(value, *bank.value_range).round(2).astype(np.float32)


def _qualities(main: Index, num_topics: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    quality = QUALITY_SD * rng.standard_normal(len(main))
    return (quality - _topic_means(quality, main, num_topics)[main]).astype(np.float32)


def _topic_means(
    number: npt.NDArray[np.float64], main: Index, num_topics: int
) -> npt.NDArray[np.float64]:
    """[C] mean of a number over the items of each topic; 0 where a topic has none."""
    count = np.bincount(main, minlength=num_topics)
    return np.bincount(main, number, minlength=num_topics) / np.maximum(count, 1)


def _titles(
    bank: WordBank, main: Index, rng: np.random.Generator
) -> tuple[tuple[str, ...], list[str]]:
    """[N] unique titles and [N] the subject of each."""
    title, subject = [""] * len(main), [""] * len(main)
    for index, topic in enumerate(bank.topics):
        choices = topic.all_titles()
        order = rng.permutation(len(choices)).tolist()
        for n, row in enumerate(np.flatnonzero(main == index).tolist()):
            turn, pick = divmod(n, len(choices))
            text, subject[row] = choices[order[pick]]
            title[row] = f"{text} ({turn + 1})" if turn else text
    return tuple(title), subject


def _descriptions(
    bank: WordBank,
    main: Index,
    other: Index,
    subject: Sequence[str],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """[N] descriptions: the subject, three words of the topic, two of the second topic if any."""
    words = [topic.words for topic in bank.topics]
    names = bank.topic_names
    pattern = _picker(bank.descriptions, len(main), rng)
    extra = _picker(bank.also, len(main), rng)
    triple = _distinct([len(w) for w in words], main, 3, rng)  # [N][3]
    pair = _distinct([len(w) for w in words], np.maximum(other, 0), 2, rng)  # [N][2]
    out = []
    for i, (m, o) in enumerate(zip(main.tolist(), other.tolist(), strict=True)):
        a, b, c = (words[m][k] for k in triple[i])
        text = pattern(i).format(x=subject[i], topic=names[m], a=a, b=b, c=c)
        if o >= 0:
            d, e = (words[o][k] for k in pair[i])
            text += " " + extra(i).format(other=names[o], d=d, e=e)
        out.append(_sentence(text))
    return tuple(out)


def _picker(choices: Sequence[str], size: int, rng: np.random.Generator) -> Callable[[int], str]:
    picks = rng.integers(len(choices), size=size).tolist()
    return lambda i: choices[picks[i]]


def _distinct(
    lengths: Sequence[int], rows: Index, size: int, rng: np.random.Generator
) -> list[list[int]]:
    """[N][size] distinct indices below ``lengths[rows]``: a start and strides around the ring."""
    length = np.asarray(lengths)[rows]
    start = rng.integers(length)
    # strides below length / size never meet the start again
    stride = rng.integers(1, np.maximum(length // size, 1) + 1)
    picks = (start[:, None] + stride[:, None] * np.arange(size)) % length[:, None]
    return picks.tolist()
