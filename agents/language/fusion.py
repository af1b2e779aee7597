"""Items of several modalities as one vector each: text, numbers (price, duration, age), images.

A learned linear projection v_j = sum_m phi_m(x_jm) W_m + w, fitted by ridge regression on vectors
that behaviour says items have, for instance those fitted on a log. It needs no log of an item to
give the item a vector. phi of a text or an image is its embedding; of a number, Gaussian bumps
along its logarithm, so that a band of prices can matter and not only more or less; what is not
known is zeros, the mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from driftrec.simulators import unit
from driftrec.simulators.streams import Floats

_BUMPS = 6
_CENTRES = np.linspace(-2, 2, _BUMPS, dtype=np.float32)  # in standard deviations of the logarithm


@dataclass(frozen=True)
class Modalities:
    """What is known of N items.

    Attributes:
        vectors: [N, F_m] embeddings by name, for instance ``text`` and ``image``; a row of NaN
            where an item has none.
        numbers: [N] by name, for instance ``price``, ``duration``, ``age``; at least 0, NaN where
            unknown.
    """

    vectors: Mapping[str, Floats] = field(default_factory=dict)
    numbers: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("vectors and numbers must hold at least one modality, got none")
        if set(self.vectors) & set(self.numbers):
            raise ValueError(f"names must differ, got {set(self.vectors) & set(self.numbers)}")
        for name, axes in (*((n, 2) for n in self.vectors), *((n, 1) for n in self.numbers)):
            values = self[name]
            if values.ndim != axes or len(values) != len(self):
                raise ValueError(
                    f"{name} must have {axes} axes and {len(self)} rows, got shape {values.shape}"
                )
            if np.isinf(values).any():
                raise ValueError(f"{name} must be finite, or NaN where unknown, got infinity")
        for name, values in self.numbers.items():
            if (values < 0).any():
                raise ValueError(f"{name} must be at least 0, got {np.nanmin(values)}")

    def __getitem__(self, name: str) -> Floats:
        return self.vectors[name] if name in self.vectors else self.numbers[name]

    def __len__(self) -> int:
        return len(self[self.names[0]])

    @property
    def names(self) -> tuple[str, ...]:
        """Of all modalities."""
        return (*self.vectors, *self.numbers)

    def take(self, rows: np.ndarray) -> Modalities:
        """Those of the items in ``rows``."""
        return Modalities(
            {name: values[rows] for name, values in self.vectors.items()},
            {name: values[rows] for name, values in self.numbers.items()},
        )


@dataclass(frozen=True)
class Fusion:
    """The fitted projection.

    Attributes:
        modalities: names of those it uses.
        scale: mean and standard deviation of each number's logarithm.
        mean: phi's, of each modality.
        weight: W_m.
        offset: [D] w.
    """

    modalities: tuple[str, ...]
    scale: Mapping[str, tuple[float, float]]
    mean: Mapping[str, Floats]
    weight: Mapping[str, Floats]
    offset: Floats

    @classmethod
    def fit(
        cls,
        items: Modalities,
        target: Floats,
        *,
        without: Collection[str] = (),
        ridge: float = 1.0,
    ) -> Fusion:
        """From items whose vectors are known.

        Args:
            items: N of them.
            target: [N, D] their vectors.
            without: modalities that are left out, to see what they are worth.
            ridge: penalty, in squared lengths of phi.

        Raises:
            ValueError: for an unknown modality, none left, or targets of another number.
        """
        unknown = set(without) - set(items.names)
        names = tuple(name for name in items.names if name not in without)
        if unknown or not names:
            raise ValueError(
                f"without must leave some of {', '.join(items.names)}, got {sorted(without)}"
            )
        if target.ndim != 2 or len(target) != len(items):
            raise ValueError(f"target must be [{len(items)}, D], got shape {target.shape}")
        scale = {name: _scale(items.numbers[name]) for name in names if name in items.numbers}
        raw = {name: _features(items[name], scale.get(name)) for name in names}
        mean = {name: np.nanmean(values, 0).astype(np.float32) for name, values in raw.items()}
        centred = [np.nan_to_num(raw[name] - mean[name]) for name in names]
        phi = np.concatenate(centred, 1).astype(np.float64)
        offset = target.mean(0)
        gram = phi.T @ phi + ridge * np.eye(phi.shape[1])
        solved = np.linalg.solve(gram, phi.T @ (target - offset)).astype(np.float32)
        ends = np.cumsum([part.shape[1] for part in centred])[:-1]
        weight = dict(zip(names, np.split(solved, ends), strict=True))
        return cls(names, scale, mean, weight, offset.astype(np.float32))

    def __call__(self, items: Modalities) -> Floats:
        """[N, D] unit vectors of items, also of such as were never met.

        Raises:
            ValueError: where a modality is missing.
        """
        missing = set(self.modalities) - set(items.names)
        if missing:
            raise ValueError(f"items must have {sorted(missing)}, got {', '.join(items.names)}")
        total = np.tile(self.offset, (len(items), 1))
        for name in self.modalities:
            phi = _features(items[name], self.scale.get(name))
            total += np.nan_to_num(phi - self.mean[name]) @ self.weight[name]
        return unit(total)


def held_out_likeness(
    items: Modalities, target: Floats, without: Collection[str] = (), folds: int = 5
) -> float:
    """Mean cosine between fused and true vectors of items that the projection was not fitted on."""
    fold = np.arange(len(items)) % folds
    cosines = []
    for f in range(folds):
        known, held_out = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        fusion = Fusion.fit(items.take(known), target[known], without=without)
        fused = fusion(items.take(held_out))
        cosines.append((fused * unit(target[held_out])).sum(1))
    return float(np.concatenate(cosines).mean())


def _scale(numbers: Floats) -> tuple[float, float]:
    logs = np.log1p(numbers)
    return float(np.nanmean(logs)), max(float(np.nanstd(logs)), 1e-6)


def _features(values: Floats, scale: tuple[float, float] | None) -> Floats:
    """[N, F_m] phi; NaN where nothing is known."""
    if scale is None:
        return values
    place = (np.log1p(values) - scale[0]) / scale[1]
    return np.exp(-0.5 * np.square(place[:, None] - _CENTRES)).astype(np.float32)
