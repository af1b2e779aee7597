"""What a network reads of slates, and what it carries on from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .occasion import Occasion


@dataclass
class Seen:
    """What a network reads of T slates of B users; all of it is numbers, so a score has a gradient.

    Attributes:
        embedding: [B, T, K, F] of the items shown; zeros where a slot is empty.
        feedback: [B, T, K] on them, and ``taken`` [B, T, K] 1 where there was any.
        expected: [B, T, K] what these items get on average; 0 where a slot is empty.
        shown: [B, T, K] 1 where a slot holds an item.
        request: [B, T, 16] vector of the request that follows, and its ``time`` [B, T, 4].
        lift: [B, T, K] what being known or new added to their log-odds when they were shown.
        shown_on: the occasion of that.
        occasion: of the request that follows; it is taken as it is.
    """

    embedding: Tensor
    feedback: Tensor
    taken: Tensor
    expected: Tensor
    shown: Tensor
    request: Tensor
    time: Tensor
    lift: Tensor
    shown_on: Occasion
    occasion: Occasion


SURPRISED = 10.0  # nats at most that an answer surprises by


def surprise_of(evidence: Tensor) -> Tensor:
    """-log P of answers whose log-likelihood is ``evidence``, bounded."""
    return -evidence.clamp_min(-SURPRISED)


@dataclass
class Interest:
    """The dynamic interest after each of T slates.

    Attributes:
        memories: [B, T, S, F].
        belief: [B, T, G, C] probabilities of pairs of a lasting and a passing interest.
        evidence: [B, T] log-likelihood that each answer had beforehand.
        occasion: of the request that follows each.
    """

    memories: Tensor
    belief: Tensor
    evidence: Tensor
    occasion: Occasion

    @property
    def vector(self) -> Tensor:
        """[B, T, W] as one vector: memories, what is believed of each kind, surprise."""
        kinds = self.belief.sum(3), self.belief.sum(2)
        surprise = surprise_of(self.evidence)[..., None]
        return torch.cat((self.memories.flatten(2), *kinds, surprise), -1)

    def map(self, change: Callable[[Tensor], Tensor]) -> Interest:
        """With each part changed."""
        return Interest(
            change(self.memories),
            change(self.belief),
            change(self.evidence),
            self.occasion.map(change),
        )

    def at(self, steps: Any) -> Interest:
        """After some of the slates."""
        return self.map(lambda part: part[:, steps])

    def of(self, rows: Tensor) -> Interest:
        """Of some of the users."""
        return self.map(lambda part: part[rows])

    def put(self, rows: Tensor, other: Interest) -> None:
        """Overwrites that of some users."""
        for name in ("memories", "belief", "evidence"):
            getattr(self, name)[rows] = getattr(other, name)
        self.occasion.put(rows, other.occasion)

    def carried(self, carry: Any, length: int) -> Memory:
        """What is carried on from the last slate, with the network's own ``carry``."""
        occasion = self.occasion.map(lambda part: part[:, -1:])
        return Memory(self.memories[:, -1], self.belief[:, -1], occasion, carry, length)

    def then(self, *later: Interest) -> Interest:
        """This one, and later ones after it."""
        parts = (self, *later)
        return Interest(
            torch.cat([part.memories for part in parts], 1),
            torch.cat([part.belief for part in parts], 1),
            torch.cat([part.evidence for part in parts], 1),
            self.occasion.then(*(part.occasion for part in later)),
        )


@dataclass
class Memory:
    """What is carried from one request to the next.

    Attributes:
        interest: [B, S, F] the memories.
        belief: [B, G, C] probabilities of pairs of a lasting and a passing interest.
        occasion: [B, 1] of the newest request.
        carry: what the network's ``mix`` goes on from: a tensor [B, ...], or whatever else lets
            rows be overwritten as a tensor does and branches.
        length: slates read so far.
    """

    interest: Tensor
    belief: Tensor
    occasion: Occasion
    carry: Any
    length: int

    def replace(self, rows: Tensor, other: Memory) -> None:
        """Overwrites users whose next episode began."""
        self.interest[rows], self.belief[rows] = other.interest, other.belief
        self.occasion.put(rows, other.occasion)
        self.carry[rows] = other.carry

    def alone(self) -> Memory:
        """The same, that keeps no longer tensor alive of which it is a part."""
        interest, belief = _copy(self.interest), _copy(self.belief)
        return Memory(interest, belief, self.occasion.map(_copy), self.carry, self.length)

    def branch(self) -> Memory:
        """A memory that can be read on from while this one stays as it is."""
        carry = self.carry if isinstance(self.carry, Tensor) else self.carry.branch()
        return Memory(self.interest, self.belief, self.occasion, carry, self.length)


def _copy(part: Tensor) -> Tensor:
    return part.clone(memory_format=torch.contiguous_format)
