"""Why an item is recommended: what events add, where attention looks, the interest in words."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .attention import Adjustment, of_every_head
from .network import Network
from .output import Output
from .reading import Interest, Seen
from .serving.event import Event
from .serving.reader import NOTHING
from .serving.recommender import Recommender
from .transformer import InterestNetwork

FEATURES = ("item", "feedback", "request", "time")
_OF = {  # which part of a slate belongs to which feature
    "embedding": "item",
    "expected": "item",
    "lift": "item",
    "feedback": "feedback",
    "taken": "feedback",
    "request": "request",
    "time": "time",
}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class InWords:
    """A vector of the interest, by what lies nearest to it.

    Attributes:
        name: of the vector.
        topics: best first, each with the mean affinity of its items.
        items: titles, best first, each with its affinity <vector, e_j>.
    """

    name: str
    topics: list[tuple[str, float]]
    items: list[tuple[str, float]]


@dataclass(frozen=True)
class Explanation:
    """Why a user is recommended an item.

    Attributes:
        title: of the item, and its ``score`` and ``rank`` now.
        events: [T] that were read, oldest first.
        titles: [T] of their items.
        contribution: [T, 4] what each event adds to the score by each of ``FEATURES``: integrated
            gradients from a user who was shown nothing. Their sum is ``score - baseline``. The
            request and the time of a row are those that follow the event.
        baseline: the item's score for a user who was shown nothing, by the passing interests that
            are likeliest now.
        attention: [L, H, T, T] of each layer and head, a row for each request, and
            ``unconditioned`` what it would be if the interest adjusted nothing; None where the
            network does not attend.
        interest: in words.
    """

    title: str
    score: float
    rank: int
    events: Sequence[Event] = field(repr=False)
    titles: Sequence[str] = field(repr=False)
    contribution: Floats = field(repr=False)
    baseline: float
    attention: Floats | None = field(repr=False)
    unconditioned: Floats | None = field(repr=False)
    interest: list[InWords] = field(repr=False)

    @property
    def gap(self) -> float:
        """What the contributions leave unexplained: the error of the integral."""
        return float(self.score - self.baseline - self.contribution.sum())


def explain(
    recommender: Recommender,
    user: str,
    item_id: str,
    request: str = "",
    at: datetime.datetime | None = None,
    steps: int = 64,
) -> Explanation:
    """Explains the score of one item for one user at one request.

    Args:
        recommender: that serves the user; its network is explained in fp32.
        user: id of the user.
        item_id: of the item.
        request: what is asked for, in words.
        at: local time of the request; now if None.
        steps: of the integral.

    Raises:
        ValueError: for an unknown item, or where captum is not installed.
    """
    item, network = recommender.items.index(item_id), recommender.model.network
    events, read = recommender.attended(user)
    read = read or [NOTHING]
    with torch.no_grad():
        seen = network.perceive(*recommender.reader.tensors(read, recommender.asked(request, at)))
        hidden, interest = _reached(network, seen)
        output = network.read_out(hidden, interest)
        scores = output.scores[0, 0]
    contribution, baseline = contributions(network, seen, item, steps)
    return Explanation(
        title=recommender.items.title[item],
        score=float(scores[item]),
        rank=1 + int((scores > scores[item]).sum()),
        events=events,
        titles=[recommender.items.title[entry.item] for entry in read if entry.item >= 0],
        contribution=contribution[: len(events)] if events else contribution,
        baseline=baseline,
        attention=attention_maps(network, seen),
        unconditioned=attention_maps(network, seen, conditioned=False),
        interest=in_words(recommender, output, item),
    )


def _reached(network: Network, seen: Seen) -> tuple[Tensor, Interest]:
    """What is read out at the newest request."""
    interest = network.interest(seen)
    hidden = network.mix_whole(network.tokens(seen), interest.vector)
    return hidden[:, -1:], interest.at(slice(-1, None))


# --- contributions ------------------------------------------------------------------------------


def contributions(network: Network, seen: Seen, item: int, steps: int) -> tuple[Floats, float]:
    """What each part of what was seen adds to an item's score, and the score without it.

    Integrated gradients along the straight line from slates that are empty, without request or
    time. Source: Sundararajan, Taly & Yan (2017), "Axiomatic attribution for deep networks"; their
    completeness says that the contributions add up to the difference. The passing interests that
    are likeliest at the end are read all the way: the score would jump where one took the place of
    another.

    Returns:
        [T, 4] by event and feature, and the baseline's score.

    Raises:
        ValueError: where captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise ValueError("explanations need captum: pip install 'driftrec[explain]'") from None
    names = list(_OF)  # empty slots stay empty, and the occasion what it is
    parts = tuple(getattr(seen, name) for name in names)
    empty = tuple(torch.zeros_like(part) for part in parts)
    asked = network.request(torch.zeros(1, 1, dtype=torch.long))  # the vector of "no request"
    empty[names.index("request")].copy_(asked.expand_as(seen.request))
    with torch.no_grad():
        hidden, interest = _reached(network, seen)
        likely = network.likeliest(network.weigh(hidden, interest.belief.sum(2)))

    def score(*moved: Tensor) -> Tensor:
        shown = seen.shown.expand(len(moved[0]), -1, -1)
        users = len(moved[0])
        told = Seen(
            **dict(zip(names, moved, strict=True)),
            shown=shown,
            shown_on=seen.shown_on.map(lambda part: part.expand(users, *part.shape[1:])),
            occasion=seen.occasion.map(lambda part: part.expand(users, *part.shape[1:])),
        )
        hidden, interest = _reached(network, told)
        output = network.read_out(hidden, interest, likely.expand(len(hidden), -1, -1))
        return output.scores_of(torch.full((len(moved[0]), 1, 1), item))[:, 0, 0]

    gradients = IntegratedGradients(score).attribute(
        parts, empty, n_steps=steps, method="gausslegendre", internal_batch_size=16
    )
    by_feature = np.zeros((parts[0].shape[1], len(FEATURES)), np.float32)
    for name, part in zip(names, gradients, strict=True):
        column = FEATURES.index(_OF[name])
        by_feature[:, column] += part[0].flatten(1).sum(1).detach().float().numpy()
    with torch.no_grad():
        return by_feature, float(score(*empty))


# --- attention ----------------------------------------------------------------------------------


class _Watched(Adjustment):
    """An adjustment that keeps the queries it has made, [B, H, T, D] of each layer."""

    def adjust(self, query: Tensor, layer: int) -> Tensor:
        adjusted = super().adjust(query, layer)
        self.__dict__.setdefault("queries", []).append(adjusted)
        return adjusted


@torch.no_grad()
def attention_maps(network: Network, seen: Seen, conditioned: bool = True) -> Floats | None:
    """[L, H, T, T] where each layer looks; None where the network does not attend.

    Args:
        network: that reads.
        seen: T slates of one user.
        conditioned: whether the interest adjusts attention; False sets its gains to zero.
    """
    if not isinstance(network, InterestNetwork):
        return None
    return attention_of(network, seen, conditioned)[:, 0].float().numpy()


@torch.no_grad()
def attention_of(network: InterestNetwork, seen: Seen, conditioned: bool = True) -> Tensor:
    """[L, B, H, T, T] as ``attention_maps``, of B users."""
    token = network.tokens(seen)
    plain = network.adjuster(network.reading(network.interest(seen).vector))
    gain, scale = plain.gain, plain.scale
    if not (conditioned and network.config.conditioned):
        gain, scale = torch.zeros_like(gain), None if scale is None else torch.zeros_like(scale)
    watched = _Watched(gain, scale, plain.left, plain.right)
    cache = network.backbone(inputs_embeds=token, interest=watched, use_cache=True).cache
    maps = []
    for query, layer in zip(watched.__dict__["queries"], cache.layers, strict=True):
        key = of_every_head(layer.keys, query.shape[1])
        match = query @ key.mT / query.shape[-1] ** 0.5  # [B, H, T, T]
        later = torch.ones(match.shape[-2:], dtype=torch.bool).triu(1)
        maps.append(match.masked_fill(later, -torch.inf).softmax(-1))
    return torch.stack(maps)


# --- words --------------------------------------------------------------------------------------


@torch.no_grad()
def in_words(recommender: Recommender, output: Output, item: int, count: int = 5) -> list[InWords]:
    """The memories, the likeliest interest and the read-out for an item, in words.

    Args:
        recommender: whose items and topics are the words.
        output: of the network at the request.
        item: for which the vector of the read-out is taken that speaks most for it.
        count: topics and items named of each.
    """
    network = recommender.model.network
    embedding, lives = network.embedding, network.config.half_lives
    memories, queries, weight = (
        part[0, 0] for part in (output.interest.memories, output.query, output.weight)
    )
    named = [(f"half-life {life:g}", m) for life, m in zip(lives, memories, strict=False)]
    share = (weight / network.sharpness).softmax(0)
    named.append((f"likeliest, {float(share[0]):.0%}", queries[0]))
    named.append(("read-out", queries[int((queries @ embedding[item]).argmax())]))
    words = []
    for name, vector in named:
        affinity = (embedding @ vector).numpy()
        words.append(
            InWords(
                name,
                _best(_topic_means(affinity, recommender), recommender.items.topic_names, count),
                _best(affinity, recommender.items.title, count),
            )
        )
    return words


def _topic_means(affinity: Floats, recommender: Recommender) -> Floats:
    """[C] mean affinity of each topic's items; that of all for a topic without items."""
    topic, count = recommender.items.topic, len(recommender.items.topic_names)
    size = np.bincount(topic, minlength=count)
    total = np.bincount(topic, affinity, minlength=count)
    return np.where(size > 0, total / np.maximum(size, 1), affinity.mean()).astype(np.float32)


def _best(values: Floats, names: Sequence[str], count: int) -> list[tuple[str, float]]:
    order = np.argsort(-values, kind="stable")[:count]
    return [(names[place], float(values[place])) for place in order]
