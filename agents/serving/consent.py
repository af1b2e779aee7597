"""Who opted out, without a list of who they are; and all that is held on a user."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..reading import Memory
from .event import Event
from .items import Items
from .reader import Asked, State


@dataclass
class OptOuts:
    """Users of whom nothing is kept, known by keyed digests of their ids.

    Attributes:
        secret: of the digests; saved with them, encrypted.
        digests: of those who opted out.
    """

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    digests: set[bytes] = field(default_factory=set)

    def __contains__(self, user: str) -> bool:
        return bool(self.digests) and self._digest(user) in self.digests

    def add(self, user: str) -> None:
        """Remembers that a user opted out."""
        self.digests.add(self._digest(user))

    def discard(self, user: str) -> None:
        """Takes it back, where it is so."""
        self.digests.discard(self._digest(user))

    def _digest(self, user: str) -> bytes:
        return hmac.digest(self.secret, user.encode("utf-8", "surrogatepass"), "sha256")


def describe_user(
    user: str, opted_out: bool, events: Iterable[Event], state: State | None, items: Items
) -> dict[str, Any]:
    """All that is held on a user as plain values, see ``Recommender.held``."""
    return {
        "user": user,
        "opted_out": opted_out,
        "events": [_event(event, items) for event in events],
        "state": None if state is None else _state(state, items),
    }


def _event(event: Event, items: Items) -> dict[str, Any]:
    return {
        "item": event.item,
        "title": items.title[items.index(event.item)],
        "feedback": float(event.feedback),
        "time": None if event.time is None else event.time.isoformat(),
        "request": event.request,
    }


def _state(state: State, items: Items) -> dict[str, Any]:
    ahead = None
    if state.ahead is not None:
        ahead = _asked(state.ahead[0], items) | {"memory": _memory(state.ahead[1])}
    memory = None if state.memory is None else _memory(state.memory)
    return {"read": state.read, "memory": memory, "ahead": ahead}


def _asked(asked: Asked, items: Items) -> dict[str, Any]:
    return {"request": items.requests[asked.request], "time": list(asked.time)}


def _memory(memory: Memory) -> dict[str, Any]:
    """The tensors of one user, as lists."""
    carry = memory.carry
    if not isinstance(carry, Tensor):  # keys and values of each layer of attention
        layers = carry.layers.layers
        plain = {
            "keys": [_list(layer.keys) for layer in layers],
            "values": [_list(layer.values) for layer in layers],
            "mask": carry.mask[0].tolist(),
        }
    else:
        plain = {"hidden": _list(carry)}
    return {
        "interest": _list(memory.interest),
        "belief": _list(memory.belief),
        "carry": plain,
        "length": memory.length,
    }


def _list(tensor: Tensor) -> list[Any]:
    return tensor[0].float().tolist()
