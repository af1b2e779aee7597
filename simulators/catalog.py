"""What can be recommended: the catalogue of items, as arrays with a leading item axis."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Catalog:
    """N items in C topics.

    Everything here is public: an agent may read it. What users react to beyond it (the latent
    attributes) is drawn by the world from ``topics``, or comes from the log in ``affinity``.

    Attributes:
        name: short name, kept in run folders.
        ids: [N] the owner's item ids, unique.
        title: [N] titles.
        description: [N] descriptions; may be empty strings.
        topics: [N, C] share of each topic in the item, rows sum to 1.
        topic_names: C names.
        value: [N] minutes of a video or track, price of a product; positive.
        quality: [N] appeal that all users share, in logits, mean 0.
        affinity: latent vectors fitted on a log, or None where there is no log.

    Raises:
        ValueError: where shapes disagree, ids repeat, or a number is not finite.
    """

    name: str
    ids: tuple[str, ...]
    title: tuple[str, ...]
    description: tuple[str, ...]
    topics: Floats
    topic_names: tuple[str, ...]
    value: Floats
    quality: Floats
    affinity: Affinity | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        num_items, num_topics = len(self.ids), len(self.topic_names)
        if num_items == 0:
            raise ValueError("ids must name at least one item, got none")
        if len(set(self.ids)) != num_items:
            raise ValueError(f"ids must be unique, got {num_items - len(set(self.ids))} repeated")
        for name in ("title", "description", "value", "quality"):
            if len(getattr(self, name)) != num_items:
                raise ValueError(
                    f"{name} must have one entry per item ({num_items}), "
                    f"got {len(getattr(self, name))}"
                )
        if self.topics.shape != (num_items, num_topics):
            raise ValueError(
                f"topics must have shape {(num_items, num_topics)}, got {self.topics.shape}"
            )
        for name in ("topics", "value", "quality"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite, got NaN or infinity")
        if not np.allclose(self.topics.sum(1), 1, atol=1e-4):
            raise ValueError("topics must have rows that sum to 1")
        if (self.value <= 0).any():
            raise ValueError(f"value must be positive, got {self.value.min()}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_topics(self) -> int:
        """C."""
        return len(self.topic_names)

    @property
    def main_topic(self) -> npt.NDArray[np.int32]:
        """[N] the topic with the largest share."""
        return self.topics.argmax(1).astype(np.int32)

    def take(self, rows: npt.NDArray[np.int64]) -> Catalog:
        """The catalogue of the items in ``rows``, in that order."""
        affinity = self.affinity and replace(self.affinity, items=self.affinity.items[rows])
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            title=tuple(self.title[i] for i in rows),
            description=tuple(self.description[i] for i in rows),
            topics=self.topics[rows],
            value=self.value[rows],
            quality=self.quality[rows],
            affinity=affinity,
        )


@dataclass(frozen=True)
class Affinity:
    """Latent vectors of items and users fitted on a log of real behaviour.

    Attributes:
        items: [N, D] unit vectors, one per item of the catalogue.
        users: [S, D] unit vectors, the tastes of real users.
    """

    items: Floats
    users: Floats

    def __post_init__(self) -> None:
        if self.items.shape[1] != self.users.shape[1]:
            raise ValueError(
                f"users must have the items' dimension {self.items.shape[1]}, "
                f"got {self.users.shape[1]}"
            )
