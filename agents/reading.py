"""What a network reads of slates, and what it carries on from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass
class Seen:
    """What a network reads of T slates of B users; all of it is numbers, so a score has a gradient.

    Attributes:
        embedding: [B, T, K, F] of the items shown; zeros where a slot is empty.
        feedback: [B, T, K] on them, and ``taken`` [B, T, K] 1 where there was any.
        expected: [B, T, K] what these items get on average; 0 where a slot is empty.
        shown: [B, T, K] 1 where a slot holds an item.
        request: [B, T, 16] vector of the request that follows, and its ``time`` [B, T, 4].
    """

    embedding: Tensor
    feedback: Tensor
    taken: Tensor
    expected: Tensor
    shown: Tensor
    request: Tensor
    time: Tensor


@dataclass
class Memory:
    """What is carried from one request to the next.

    Attributes:
        interest: [B, S, F] the memories.
        belief: [B, C] probabilities of the passing interests.
        carry: what the network's ``mix`` goes on from: a tensor [B, ...], or whatever else lets
            rows be overwritten as a tensor does and branches.
        length: slates read so far.
    """

    interest: Tensor
    belief: Tensor
    carry: Any
    length: int

    def replace(self, rows: Tensor, other: Memory) -> None:
        """Overwrites users whose next episode began."""
        self.interest[rows], self.belief[rows] = other.interest, other.belief
        self.carry[rows] = other.carry

    def branch(self) -> Memory:
        """A memory that can be read on from while this one stays as it is."""
        carry = self.carry if isinstance(self.carry, Tensor) else self.carry.branch()
        return Memory(self.interest, self.belief, carry, self.length)
