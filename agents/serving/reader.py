"""A user's events read one by one: what is known of the user is a function of them alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..network import Network
from ..output import Output
from ..reading import Memory
from .precision import context, in_fp32, lighten

LONGEST = 384  # events that are attended to at most; training's episodes are shorter
KEPT = 128  # of them after a restart: rare, since it takes as long as several events


class Entry(NamedTuple):
    """One event in the network's terms.

    Attributes:
        item: place in the catalogue, -1 for none.
        feedback: on it.
        request: id of the request under which it was shown.
        time: [4] of that request, see ``time_features``.
    """

    item: int
    feedback: float
    request: int
    time: tuple[float, float, float, float]


class Asked(NamedTuple):
    """A request that follows an event."""

    request: int
    time: tuple[float, float, float, float]


NOTHING = Entry(-1, 0.0, 0, (0.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True)
class State:
    """What has been read of a user.

    Attributes:
        memory: of the network, before anything is read None.
        read: how many events it holds.
        ahead: the memory after one more event, if the request that follows it is the one at hand.
    """

    memory: Memory | None = None
    read: int = 0
    ahead: tuple[Asked, Memory] | None = None


class Reader:
    """Reads events with a network.

    A token holds a slate and the request that follows it. So an event waits, unread, until the next
    one comes and tells the request under which it was shown: then its token is read for good
    (``extend``). A recommendation reads the waiting event with the request at hand (``ask``); if
    the next event turns out to be shown under that very request, its token is read already. Once
    LONGEST events are attended to, the newest KEPT are read anew in one pass and the others
    dropped, at places that the count of events alone decides: so the state is always the same
    function of the events, bit for bit.

    Args:
        network: in evaluation mode.
        slots: K, of the slates that the network was trained on.
        precision: see ``driftrec.agents.serving.precision``, as for ``pruned``.
        compiled: whether a step is compiled by ``torch.compile``, which needs a C++ compiler.
    """

    def __init__(
        self,
        network: Network,
        slots: int,
        precision: str = "fp32",
        compiled: bool = False,
        pruned: float = 0.0,
    ) -> None:
        self.network, self.slots = lighten(network, precision, pruned), slots
        self.precision = precision
        self.step: Callable[..., tuple[Output, Memory]] = self.network.step
        if compiled:
            self.step = torch.compile(self.network.step, dynamic=True)

    def warm_up(self) -> None:
        """Compiles what the first user would wait for."""
        with torch.inference_mode():
            entries = [NOTHING] * 4  # a memory of one event is compiled by itself
            self.ask(self.state_of(entries), entries, Asked(NOTHING.request, NOTHING.time))

    def begin_of(self, read: int) -> int:
        """The first event that is attended to when ``read`` events have been read."""
        return max(0, -((LONGEST - read) // (LONGEST - KEPT))) * (LONGEST - KEPT)

    def attended(self, count: int) -> slice:
        """Which of ``count`` events a request that comes after them attends to."""
        if not self.network.adaptive:
            return slice(max(0, count - LONGEST), count)
        return slice(self.begin_of(max(0, count - 1)), count)

    def state_of(self, entries: Sequence[Entry]) -> State:
        """The state of a user with these events, all but the last of which are read."""
        state, read = State(), max(0, len(entries) - 1)
        first = self.begin_of(read)
        if first and self.network.adaptive:
            state = State(None, first + KEPT)  # whose next event is a restart
        while state.read < read:
            state = self.extend(state, entries, entries[state.read + 1])
        return state

    def extend(self, state: State, entries: Sequence[Entry], following: Entry) -> State:
        """Reads the first event that ``state`` has not read, which ``following`` comes after."""
        count = state.read + 1
        if not self.network.adaptive:
            return State(None, count)
        asked = Asked(following.request, following.time)
        if self.begin_of(count) != self.begin_of(state.read):
            block = entries[self.begin_of(count) : count]
            return State(self._begin(block, asked)[1], count)
        if state.ahead is not None and state.ahead[0] == asked:
            return State(state.ahead[1], count)
        return State(self._read(state.memory, entries[state.read], asked)[1], count)

    def ask(self, state: State, entries: Sequence[Entry], asked: Asked) -> tuple[Output, State]:
        """What the network says at a request after all events, and the state with that ahead."""
        if not self.network.adaptive:  # reads all there is at once
            read = entries[self.attended(len(entries))]
            output, _ = self._begin(read or [NOTHING], asked)
        else:
            last = entries[-1] if entries else NOTHING
            output, memory = self._read(state.memory, last, asked)
            state = replace(state, ahead=(asked, memory) if entries else None)
        return in_fp32(output), state

    def tensors(
        self, entries: Sequence[Entry], asked: Asked
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Slates [1, T, K], feedback, the requests [1, T] that follow and their times [1, T, 4]."""
        slates = torch.full((1, len(entries), self.slots), -1)
        feedback = torch.zeros(1, len(entries), self.slots)
        slates[0, :, 0] = torch.tensor([entry.item for entry in entries])
        feedback[0, :, 0] = torch.tensor([float(entry.feedback) for entry in entries])
        request = torch.tensor([[*(entry.request for entry in entries[1:]), asked.request]])
        time = torch.tensor([[*(entry.time for entry in entries[1:]), asked.time]])
        return slates, feedback, request, time

    def _begin(self, entries: Sequence[Entry], asked: Asked) -> tuple[Output, Memory]:
        with context(self.precision):
            output, memory = self.network.begin(*self.tensors(entries, asked))
        return output, memory.alone()

    def _read(self, memory: Memory | None, entry: Entry, asked: Asked) -> tuple[Output, Memory]:
        if memory is None:
            return self._begin([entry], asked)
        with context(self.precision):
            return self.step(memory.branch(), *self.tensors([entry], asked))
