"""What all networks let one choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .heads import HEADS


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; each has its own, with more to choose.

    Attributes:
        hidden: width of tokens and of what is made of them.
        vectors: interest vectors M of the read-out, those of the M likeliest passing interests; a
            belief with several peaks needs several. 1: the mean of all.
        half_lives: of the memories' time scales, in slates.
        surprise: whether the memories' gates listen to surprise.
        occasion: whether it is learned what users tire of, come back to, ask for and find new
            (``driftrec.agents.occasion``).
        lasting: kinds of lasting interests G that the chain tells apart.
        passing: passing interests C that it tells apart.
        diversity: what likeness to an item above costs an item in the slate that is shown when
            nothing is explored, in log-odds per unit of cosine; a belief with several peaks is
            better served by some of each than by the highest peak alone.
        loyalty: what pleasing a user is worth beyond the reward, in mean worths of an item: who is
            pleased stays. Where the scores begin, and part of what a privileged teacher shows.
        head: how slates are drawn, a name in ``HEADS``.
        per_item: whether each item learns a vector and a bias of its own beside what is known of
            it publicly. Without, less is learned of the items at hand and items that come later
            are known as well as they are.

    Raises:
        ValueError: for an unknown head, one that cannot do with so many vectors, or numbers of
            interests or vectors that cannot be.
    """

    hidden: int = 64
    vectors: int = 6
    half_lives: tuple[float, ...] = (64.0, 16.0, 4.0)
    surprise: bool = True
    occasion: bool = True
    lasting: int = 16
    passing: int = 24
    diversity: float = 2.0
    loyalty: float = 1.5
    head: str = "expected-reward"
    per_item: bool = True

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {self.head!r}")
        for name in ("hidden", "lasting", "passing", "vectors"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("diversity", "loyalty"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value}")
        if HEADS[self.head].whole and self.vectors != 1:
            raise ValueError(f"vectors must be 1 with the head {self.head}, got {self.vectors}")
        if not (self.per_item or HEADS[self.head].item_features):
            raise ValueError(f"per_item must be True with the head {self.head}, got False")
