"""The users: their state as arrays with a leading user axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .compiled import kernels
from .streams import Floats, Keys

Ints = npt.NDArray[np.int64]


@dataclass
class Users:
    """State of B users.

    Attributes:
        key: [B] stream of random numbers of each user.
        step: [B] requests since the episode began; negative in the warm-up.
        clock: [B] hours on the world's clock.
        anchor: [B, D] long-term taste, unit vectors.
        taste: [B, D] slow taste, unit vectors; drifts around the anchor.
        query: [B, D + 2] the interest acted upon now (unit vector, first D columns), then 1 and
            minus the price sensitivity: one product with the items' features gives utilities.
        patience: [B] how many more disappointing slates the user will stand.
        shifted: [B] whether the long-term taste was redrawn just now.
        state: what the drift processes keep per user, by name, each [B, ...].
    """

    key: Keys
    step: Ints
    clock: Floats
    anchor: Floats
    taste: Floats
    query: Floats
    patience: Floats
    shifted: npt.NDArray[np.bool_]
    state: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.key)

    @property
    def interest(self) -> Floats:
        """[B, D] the interest acted upon now: a view, unit vectors."""
        return self.query[:, :-2]

    def take(self, rows: Ints) -> Users:
        """A copy of the users in ``rows``, which may repeat."""
        arrays = {name: value.take(rows, axis=0) for name, value in self._arrays()}
        state = {name: value.take(rows, axis=0) for name, value in self.state.items()}
        return Users(**arrays, state=state)

    def put(self, rows: Ints, others: Users) -> None:
        """Overwrites the users in ``rows``."""
        for name, value in self._arrays():
            value[rows] = getattr(others, name)
        for name, value in self.state.items():
            value[rows] = others.state[name]

    def _arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """The fields that are arrays."""
        return ((name, getattr(self, name)) for name in _ARRAYS)


_ARRAYS = tuple(f.name for f in fields(Users) if f.name != "state")


def unit(vectors: Floats, out: Floats | None = None) -> Floats:
    """Rows [..., D] scaled to length 1, written to ``out`` if given; a row of zeros stays."""
    length = np.sqrt(np.einsum("...d,...d->...", vectors, vectors))[..., None]
    return np.divide(vectors, np.maximum(length, np.float32(1e-12)), out=out)


def project(vectors: Floats, onto: Floats) -> Floats:
    """[B, n] products of ``vectors`` [B, D] with the rows of ``onto`` [n, D].

    User by user: a matrix product would round differently in batches of different sizes, and a
    user's fate must not depend on the batch.
    """
    found: Floats = kernels.products(np.ascontiguousarray(vectors), onto)
    return found
