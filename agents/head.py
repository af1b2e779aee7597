"""What a slate head does: it draws slates, and says how likely they were."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .chain import InterestChain
from .output import Output
from .slate import entropy


@dataclass
class Draw:
    """B slates that were drawn at one request.

    Attributes:
        slates: [B, K].
        log_probability: [B, K] of each slot; [B, 1] where a slate is drawn as a whole.
        proto: [B, F] what was drawn in place of the slate; [B, 0] where it was the slate itself.
    """

    slates: Tensor
    log_probability: Tensor
    proto: Tensor


class Head(nn.Module, ABC):
    """A stochastic policy over slates.

    Args:
        size: F, of the item vectors.
    """

    item_features: ClassVar[bool] = True  # whether items are known by their public vectors
    by_item: ClassVar[bool] = False  # whether it knows single items by their place in the catalogue
    whole: ClassVar[bool] = False  # whether a slate is drawn as a whole, by way of a proto-action
    settings: ClassVar[Mapping[str, tuple[float, ...]]] = {}  # what a trial tries, by name

    def __init__(self, size: int) -> None:
        super().__init__()

    def prepare(self, features: Tensor, diversity: float, loyalty: float) -> None:
        """Is told the items' public vectors [N, F], and what the network's config says."""

    def set(self, values: Mapping[str, float]) -> None:
        """Puts ``settings`` where they are said to be."""
        for name, value in values.items():
            getattr(self, name).data.fill_(value)

    def adopt(self, chain: InterestChain) -> None:
        """Is told how users choose, wherever the interest has been fitted."""

    @abstractmethod
    def draw(self, output: Output, slots: int, sharp: Tensor | float = 1.0) -> Draw:
        """Slates at the only request of ``output``; ``sharp`` [B, 1] scales the log-odds."""

    @abstractmethod
    def log_probability(self, output: Output, slates: Tensor, proto: Tensor) -> Tensor:
        """[B, T, K] of slates [B, T, K] that were drawn; [B, T, 1] where drawn as a whole."""

    def best(self, output: Output, slots: int) -> Tensor | None:
        """[B, K] to show at the only request where nothing is explored.

        None: items by ``rank``, with regard to likeness as the policy's ``diversity`` says.
        """
        return None

    def rank(self, output: Output) -> Tensor:
        """[B, T, N] by what items are ranked where nothing is explored, in log-odds."""
        return output.scores

    def log_share(self, output: Output, items: Tensor) -> Tensor:
        """[B, T, n] log-probability of items [B, T, n], each as the first of a slate."""
        return output.scores_of(items) - output.log_total()[..., None]

    def log_likelihood(self, output: Output, slates: Tensor, feedback: Tensor) -> Tensor | None:
        """[B, T] of ``feedback`` on slates [B, T, K]; None: by ``losses.choice_loss``."""
        return None

    def entropy(self, output: Output) -> Tensor:
        """[B, T] in nats, of the first slot: what is held up against collapse."""
        return entropy(output.scores)
