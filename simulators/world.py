"""What all users share: items' latent attributes, topics, segments of the population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .catalog import Catalog
from .streams import Floats
from .users import unit

Indices = npt.NDArray[np.int32]
# [N] items sorted by topic and [C + 1] where each topic's begin; [hours, C] place of the first that
# is there and how many are, cyclically.
Stock = tuple[Indices, Indices, Indices, Indices]
WEEK = 168  # hours
CYCLE = 1344  # hours, 8 weeks: after these the world's own events (trends, births) come round again


@dataclass(frozen=True)
class Population:
    """How items and tastes are laid out in the latent space.

    Attributes:
        dimensions: D, of the latent space, where no log fixes it.
        segments: how many groups of users there are.
        topics_per_segment: topics that a segment's members share.
        item_spread: length of an item's own part beside its topics' centres.
        user_spread: length of a user's own part beside the segment's taste.
        price_sensitivity: mean of the users' aversion to value, in logits per e-fold.
    """

    dimensions: int = 32
    segments: int = 12
    topics_per_segment: int = 4
    item_spread: float = 0.5
    user_spread: float = 0.3
    price_sensitivity: float = 0.0


@dataclass(frozen=True, eq=False)
class World:
    """The tables of a world; nothing in it belongs to one user.

    A world equals itself alone, so it can be the key of a cache.

    Attributes:
        catalog: the items.
        attributes: [N, D] what users react to, unit vectors.
        centers: [C, D] topics in the same space, unit vectors.
        prototypes: [S, D] tastes that users are variations of, unit vectors.
        successors: [C, 2] the topics that tend to follow each topic.
        topic: [N] main topic of each item.
        members: [N] items sorted by main topic, and ``first`` [C + 1] where each topic begins.
        price: [N] log of value over its median.
        user_spread: length of a user's own part beside the prototype.
        request_topic: [R] topic of each request text, -1 for request 0 (none).
        seed: of the world; users have seeds of their own.
    """

    catalog: Catalog
    attributes: Floats
    centers: Floats
    prototypes: Floats
    successors: Indices
    topic: Indices
    members: Indices
    first: Indices
    price: Floats
    user_spread: float
    request_topic: Indices
    request_text: tuple[str, ...]
    seed: int

    @property
    def dimensions(self) -> int:
        """D."""
        return self.attributes.shape[1]

    @property
    def stock(self) -> Stock:
        """What each topic has, in any hour, where nothing comes or goes."""
        living = np.diff(self.first)[None]
        return self.members, self.first, np.zeros_like(living), living


def build_world(
    catalog: Catalog,
    population: Population,
    successors: Indices | None,
    requests: tuple[tuple[int, str], ...],
    seed: int,
) -> World:
    """Lays out a world.

    x_j = unit(sum_k share_jk c_k + item_spread g_j / sqrt(D)), c_k uniform on the sphere, where the
    catalogue has no log; with one, attributes and tastes are those fitted on it and c_k is the mean
    attribute of the topic.

    Args:
        catalog: the items.
        population: knobs.
        successors: [C, 2] topic graph, or None for one drawn from the seed.
        requests: (topic, text) of every request a user can make.
        seed: of the world.
    """
    rng = np.random.default_rng([seed, 0])
    if catalog.affinity is None:
        attributes, centers = _attributes_from_topics(catalog, population, rng)
        prototypes = _segment_tastes(centers, population, rng)
    else:
        attributes, prototypes = catalog.affinity.items, catalog.affinity.users
        centers = unit(catalog.topics.T @ attributes)
    topic = catalog.main_topic
    if successors is None or len(successors) != catalog.num_topics:
        successors = _drawn_successors(centers, rng)
    members = np.argsort(topic, kind="stable").astype(np.int32)
    first = np.searchsorted(topic[members], np.arange(catalog.num_topics + 1)).astype(np.int32)
    known = [(k, text) for k, text in requests if k < catalog.num_topics]
    return World(
        catalog=catalog,
        attributes=np.ascontiguousarray(attributes, np.float32),
        centers=centers.astype(np.float32),
        prototypes=np.ascontiguousarray(prototypes, np.float32),
        successors=successors.astype(np.int32),
        topic=topic,
        members=members,
        first=first,
        price=np.log(catalog.value / np.median(catalog.value)).astype(np.float32),
        user_spread=population.user_spread,
        request_topic=np.array([-1] + [k for k, _ in known], np.int32),
        request_text=("", *(text for _, text in known)),
        seed=seed,
    )


def _attributes_from_topics(
    catalog: Catalog, population: Population, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    dims = population.dimensions
    centers = unit(rng.standard_normal((catalog.num_topics, dims), np.float32))
    own = rng.standard_normal((len(catalog), dims), np.float32) / np.float32(np.sqrt(dims))
    return unit(catalog.topics @ centers + np.float32(population.item_spread) * own), centers


def _segment_tastes(centers: Floats, population: Population, rng: np.random.Generator) -> Floats:
    """[S, D]: 16 variations of each segment, which weigh the segment's topics differently."""
    num_topics, size = len(centers), min(population.topics_per_segment, len(centers))
    tastes = []
    for _ in range(population.segments):
        topics = rng.choice(num_topics, size, replace=False)
        weights = rng.dirichlet(np.full(size, 2.0), 16).astype(np.float32)
        tastes.append(unit(weights @ centers[topics]))
    return np.concatenate(tastes)


def _drawn_successors(centers: Floats, rng: np.random.Generator) -> Indices:
    """[C, 2]: each topic is followed by two others, drawn without regard to their distance."""
    num_topics = len(centers)
    if num_topics < 3:
        return np.tile(np.arange(num_topics)[:, None], (1, 2)).astype(np.int32)
    steps = rng.choice(np.arange(1, num_topics), 2, replace=False)
    order = rng.permutation(num_topics)
    place = np.argsort(order)
    return order[(place[:, None] + steps) % num_topics].astype(np.int32)
