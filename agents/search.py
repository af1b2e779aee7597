"""What of an agent is worth tuning and between which bounds, declared beside the agent.

Nothing here searches: ``driftrec.experiments.tune`` does, and the benchmark's presets take their
grids from the same declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included; whole ones where the bounds are whole.

    Attributes:
        low: the smallest.
        high: the largest.
        log: whether ratios matter and not differences.
        grid: a few of them, for a coarse search.

    Raises:
        ValueError: for bounds in the wrong order, or a point of the grid outside.
    """

    low: float
    high: float
    log: bool = False
    grid: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            least = "0 < low < high" if self.log else "low < high"
            raise ValueError(f"bounds must have {least}, got low {self.low}, high {self.high}")
        for point in self.grid:
            if point not in self:
                raise ValueError(f"grid must lie in [{self.low}, {self.high}], got {point}")

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __contains__(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)


@dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
        values: all of them.
        grid: those of a coarse search.
    """

    values: tuple[Any, ...]
    grid: tuple[Any, ...] = ()

    def __contains__(self, value: Any) -> bool:
        return value in self.values


Space = Mapping[str, Range | Choice]
"""What may be tuned, by the name of the option."""


def coarse(space: Space) -> tuple[dict[str, Any], ...]:
    """Every combination of the grids' points; options without a grid keep their defaults.

    Example:
        >>> coarse({"a": Range(0.0, 9.0, grid=(1.0, 2.0)), "b": Range(0.0, 1.0)})
        ({'a': 1.0}, {'a': 2.0})
    """
    grids = {name: part.grid for name, part in space.items() if part.grid}
    return tuple(dict(zip(grids, points, strict=True)) for points in product(*grids.values()))
