"""What the interest does through a pretrained model's attention: `python benchmarks/language.py`.

Sixty pairs of users have met the same six books, three of topic X and three of Y, in mixed order.
One liked those of X, the other those of Y; what they did not like they disliked, or passed over.
The figures are the mean rank, 0 the best, of the seven other books of X among the 154 unmet, and
how many of the first five are of X. Then the bridge: how Chinese titles that it was not fitted on
lie to English ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from driftrec.agents.language import (
    Bridge,
    Event,
    TextConfig,
    TextEncoder,
    TextRecommender,
    load_backbone,
    load_books,
)

torch.set_num_threads(1)
BOOKS = load_books()
TOPIC = np.unique([book.topic for book in BOOKS.books], return_inverse=True)[1]


@dataclass(frozen=True)
class Case:
    """Six books that two users met: [3] of each topic, and [6] in the order that they came in."""

    topics: tuple[int, int]
    liked: tuple[np.ndarray, np.ndarray]
    met: np.ndarray

    def history(self, titles: list[str], who: int, disliked: float) -> list[Event]:
        """The events of user 0 or 1."""
        return [Event(titles[j], 1.0 if j in self.liked[who] else disliked) for j in self.met]


def cases(number: int, seed: int) -> Iterator[Case]:
    """Drawn pairs of topics and books."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        x, y = rng.choice(TOPIC.max() + 1, 2, replace=False)
        a, b = (rng.choice(np.flatnonzero(c == TOPIC), 3, replace=False) for c in (x, y))
        yield Case((x, y), (a, b), rng.permutation(np.concatenate((a, b))))


def ranks(scores: np.ndarray, drawn: list[Case]) -> np.ndarray:
    """[cases, 2] mean rank of the unmet books of X, and the share of X in the first five."""
    out = []
    for row, case in zip(scores, drawn, strict=True):
        unmet = ~np.isin(np.arange(len(row)), case.met)
        order = np.argsort(-np.where(unmet, row, -np.inf), kind="stable")
        place = np.argsort(order)
        x = case.topics[0]
        out.append((place[(x == TOPIC) & unmet].mean(), (TOPIC[order[:5]] == x).mean()))
    return np.array(out)


def ranking(
    encoder: TextEncoder, titles: list[str], request: str, bridge: Bridge | None, drawn: list[Case]
) -> None:
    """Prints what attention, the read-out and both make of the users."""
    requests = [request] * len(drawn)
    alone = TextRecommender(
        encoder, titles, bridge=bridge, config=TextConfig(interest=0, request=0)
    )
    for disliked in (-1.0, 0.0):
        mine, theirs = ([case.history(titles, who, disliked) for case in drawn] for who in (0, 1))
        none = torch.zeros(len(drawn), encoder.width)
        interest = alone.interest(mine)
        plain = alone.scores(mine, requests, none)
        moved = alone.scores(mine, requests)
        other = ranks(alone.scores(theirs, requests), drawn)
        read_out = interest.numpy() @ alone.items.T
        before, after = ranks(plain, drawn), ranks(moved, drawn)
        print(f"what was not liked counts {disliked:g}:")
        for name, scores in (
            ("plain model", plain),
            ("interest in the attention", moved),
            ("interest read out, no model", read_out),
            ("plain model + read-out", plain + read_out),
            ("attention + read-out", moved + read_out),
        ):
            rank, share = ranks(scores, drawn).mean(0)
            print(f"  {name:30s} rank of X {rank:5.1f}   share of X in the first five {share:.2f}")
        print(
            f"  by attention alone X rises for who liked it in {(after < before)[:, 0].sum()} of "
            f"{len(drawn)}, for the other in {(other < before)[:, 0].sum()}; "
            f"it stands higher for the former in {(after < other)[:, 0].sum()}"
        )


def reading(encoder: TextEncoder, dictionary: bool) -> None:
    """Prints how held-out Chinese titles lie to English ones, five folds."""
    fold = np.arange(len(BOOKS.books)) % 5
    english = encoder([book.english for book in BOOKS.books])
    read = np.empty_like(english)
    for f in range(5):
        pairs = [
            (book.title, book.english) for book, k in zip(BOOKS.books, fold, strict=True) if k != f
        ]
        bridge = Bridge.fit(encoder, [*pairs, *(BOOKS.dictionary if dictionary else ())])
        rows = np.flatnonzero(fold == f)
        read[rows] = bridge.vectors([BOOKS.books[i].title for i in rows])
    _report(
        f"held-out Chinese titles, {'titles and dictionary' if dictionary else 'titles alone'}",
        read,
        english,
        TOPIC,
    )


def reading_unseen(encoder: TextEncoder) -> None:
    """Prints the same of titles that were written after the dictionary and all other titles."""
    names = [book.topic for book in BOOKS.books]
    topic = np.array([TOPIC[names.index(name)] for _, name in BOOKS.unseen])
    read = Bridge.fit(encoder, BOOKS.pairs).vectors([title for title, _ in BOOKS.unseen])
    english = encoder([book.english for book in BOOKS.books])
    _report("Chinese titles written afterwards", read, english, topic)


def _report(name: str, read: np.ndarray, english: np.ndarray, topic: np.ndarray) -> None:
    centre = english.mean(0)
    read, english = read - centre, english - centre
    read /= np.linalg.norm(read, axis=1, keepdims=True)
    english /= np.linalg.norm(english, axis=1, keepdims=True)
    cosine, related = read @ english.T, topic[:, None] == TOPIC
    above = np.searchsorted(np.sort(cosine[~related]), cosine[related]).mean() / (~related).sum()
    print(
        f"{name}: cosine to related {cosine[related].mean():.2f}, to unrelated "
        f"{cosine[~related].mean():.2f}; related above unrelated in {above:.1%}; nearest of the "
        f"right topic {(TOPIC[cosine.argmax(1)] == topic).mean():.0%}"
    )


def main() -> None:
    """Everything, for one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    encoder = TextEncoder(load_backbone(options.model))
    drawn = list(cases(options.cases, options.seed))
    print(f"{options.model}, English titles")
    ranking(encoder, [book.english for book in BOOKS.books], "books to buy", None, drawn)
    print(f"\n{options.model}, Chinese titles")
    bridge = Bridge.fit(encoder, BOOKS.pairs)
    ranking(encoder, [book.title for book in BOOKS.books], "购买书籍", bridge, drawn)
    print()
    for dictionary in (True, False):
        reading(encoder, dictionary)
    reading_unseen(encoder)


if __name__ == "__main__":
    main()
