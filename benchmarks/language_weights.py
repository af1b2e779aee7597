"""How much state, interest and request weigh in a score: `python benchmarks/language_weights.py`.

Users have liked two Chinese titles of topic X and looked at two others, and ask for something: in
five phrases that name no topic, where books of X are what is wanted; or in words of topic Z, where
books of Z are. The figure is the share of such books in the first five.

Chosen on held-out titles: the bridge to Chinese is fitted five times, each time without a fifth of
the titles and of the dictionary, and histories and requests are of that fifth. The worked case of
``driftrec.agents.language.api`` is not among them. Then reported, for the weights chosen and
for those of ``TextConfig``, on titles that were written after everything else (``Books.unseen``).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from driftrec.agents.language import (
    Bridge,
    Event,
    TextConfig,
    TextEncoder,
    TextRecommender,
    item_text,
    load_backbone,
    load_books,
)

BOOKS = load_books()
NAMES, TOPIC = np.unique([book.topic for book in BOOKS.books], return_inverse=True)
VAGUE = ("推荐一本书", "有什么好看的书", "随便看看", "想买本书", "最近看什么好")
GRID = {  # of the interest as well: only proportions matter
    "text": (0.0, 0.25, 0.5, 1.0),
    "request": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
    "focus": (1.0, 1.5, 2.0, 3.0, 4.0),
}


@dataclass(frozen=True)
class Question:
    """A user who asks.

    Attributes:
        history: oldest first.
        request: in words.
        wanted: the topic whose books are wanted, and ``liked`` the topic of the history.
    """

    history: tuple[Event, ...]
    request: str
    wanted: int
    liked: int


def questions(
    titles: dict[int, list[str]], words: dict[int, list[str]], seed: int
) -> list[Question]:
    """One user of each topic, with two vague requests and two for another topic.

    Args:
        titles: Chinese titles by topic, at least two of each.
        words: requests by topic.
        seed: of what is drawn.
    """
    rng, found = np.random.default_rng(seed), []
    for x in titles:
        z, other = (int(t) for t in rng.choice([t for t in titles if t != x], 2, replace=False))
        liked = [Event(titles[x][i]) for i in rng.permutation(len(titles[x]))[:2]]
        seen = [Event(titles[t][int(rng.integers(len(titles[t])))], 0.3) for t in (z, other)]
        history = tuple(np.array([*seen, *liked], object)[[0, 2, 1, 3]])
        for request in rng.choice(VAGUE, 2, replace=False):
            found.append(Question(history, str(request), x, x))
        asked = [t for t in titles if t not in (x, z, other)]
        for t in rng.choice(asked, 2, replace=False):
            found.append(Question(history, str(rng.choice(words[int(t)])), int(t), x))
    return found


def held_out(encoder: TextEncoder, fold: int, folds: int = 5) -> tuple[TextRecommender, list]:
    """A recommender whose bridge knows nothing of a fifth, and questions in terms of that fifth."""
    titles = [(b.title, b.english) for b in BOOKS.books]
    kept = [p for i, p in enumerate([*titles, *BOOKS.dictionary]) if i % folds != fold]
    out: dict[int, list[str]] = {t: [] for t in range(len(NAMES))}
    words: dict[int, list[str]] = {t: [] for t in range(len(NAMES))}
    for i, book in enumerate(BOOKS.books):
        if i % folds == fold:
            out[int(TOPIC[i])].append(book.title)
            words[int(TOPIC[i])].append(book.title)
    return _recommender(encoder, Bridge.fit(encoder, kept)), questions(out, words, fold)


def afterwards(encoder: TextEncoder) -> tuple[TextRecommender, list[Question]]:
    """The whole bridge, and questions in titles that were written after all it was fitted on."""
    titles: dict[int, list[str]] = {t: [] for t in range(len(NAMES))}
    for title, topic in BOOKS.unseen:
        titles[int(np.searchsorted(NAMES, topic))].append(title)
    found = [q for seed in range(3) for q in questions(titles, titles, 100 + seed)]
    return _recommender(encoder, Bridge.fit(encoder, BOOKS.pairs)), found


def _recommender(encoder: TextEncoder, bridge: Bridge) -> TextRecommender:
    texts = [item_text(book.english, "", [book.topic_english]) for book in BOOKS.books]
    return TextRecommender(encoder, texts, bridge=bridge)


def shares(scores: np.ndarray, asked: list[Question]) -> tuple[float, float]:
    """Share of what is wanted in the first five: of vague requests, and of those for a topic."""
    first = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    hit = (TOPIC[first] == np.array([q.wanted for q in asked])[:, None]).mean(1)
    vague = np.array([q.wanted == q.liked for q in asked])
    return float(hit[vague].mean()), float(hit[~vague].mean())


def main() -> None:
    """Chooses on held-out titles and reports on those written afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    encoder = TextEncoder(load_backbone(parser.parse_args().model))
    torch.set_num_threads(1)
    asked: list[Question] = []
    terms = []
    for fold in range(5):
        recommender, some = held_out(encoder, fold)
        terms.append(recommender.terms([q.history for q in some], [q.request for q in some]))
        asked += some
    whole = [np.concatenate(part) for part in zip(*terms, strict=True)]
    results = []
    for values in product(*GRID.values()):
        config = replace(TextConfig(), **dict(zip(GRID, values, strict=True)))
        results.append((shares(config.weigh(*whole), asked), config))
    results.sort(key=lambda result: -sum(result[0]))
    chosen, own = results[0][1], TextConfig()
    recommender, later = afterwards(encoder)
    test = recommender.terms([q.history for q in later], [q.request for q in later])
    linear = replace(own, text=0.5, request=2.0, focus=1.0)
    for name, config in (("chosen", chosen), ("TextConfig", own), ("all linear", linear)):
        weights = ", ".join(f"{key} {getattr(config, key):g}" for key in GRID)
        print(f"{name}: {weights}")
        for what, terms_of, who in (("held-out", whole, asked), ("written later", test, later)):
            vague, named = shares(config.weigh(*terms_of), who)
            print(f"  {what:14s} vague request {vague:.2f}   request for a topic {named:.2f}")
    for (vague, named), config in results[:8]:
        print(f"  {vague:.3f} {named:.3f} " + " ".join(f"{getattr(config, k):g}" for k in GRID))


if __name__ == "__main__":
    main()
