"""What is held on users: their events, the states read from them, and who opted out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from .consent import OptOuts
from .event import Event
from .reader import Entry, State

_STRIPES = 64  # locks that users share


@dataclass
class History:
    """A user's events, and the same in the network's terms."""

    events: list[Event] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Users:
    """Events of all users and states of those who were served last.

    All methods but ``lock``, ``everybody`` and the last two are called by who holds a user's lock.

    Args:
        limit: users whose state is kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.histories: dict[str, History] = {}
        self.opted_out = OptOuts()
        self._states: OrderedDict[str, State] = OrderedDict()
        self._locks = [threading.Lock() for _ in range(_STRIPES)]  # of a user's events and state
        self._order = threading.Lock()  # of who was served last

    def lock(self, user: str) -> threading.Lock:
        """Who holds it is alone with what is held on this user."""
        return self._locks[hash(user) % _STRIPES]

    @contextmanager
    def everybody(self) -> Iterator[None]:
        """Nobody is served meanwhile."""
        with ExitStack() as stack:
            for lock in (*self._locks, self._order):
                stack.enter_context(lock)
            yield

    def history(self, user: str) -> History:
        """A user's events, to be read only."""
        return self.histories.get(user, History())

    def note(self, event: Event, entry: Entry) -> None:
        """Adds an event to its user's."""
        history = self.histories.setdefault(event.user, History())
        history.events.append(event)
        history.entries.append(entry)

    def rewrite(self, user: str, history: History) -> None:
        """Puts other events in place of a user's, and lets go of the state that was read."""
        self.drop_state(user)
        if history.events:
            self.histories[user] = history
        else:
            self.histories.pop(user, None)

    def state(self, user: str, served: bool = True) -> State | None:
        """The state that is kept, if it is; ``served`` makes its user the one served last."""
        with self._order:
            if served and user in self._states:
                self._states.move_to_end(user)
            return self._states.get(user)

    def keep(self, user: str, state: State) -> None:
        """Keeps a state, and lets go of that of the user who was served longest ago."""
        with self._order:
            self._states[user] = state
            self._states.move_to_end(user)
            if len(self._states) > self.limit:
                self._states.popitem(last=False)

    def drop_state(self, user: str) -> None:
        """Lets go of a state."""
        with self._order:
            self._states.pop(user, None)

    def snapshot(self) -> tuple[dict[str, tuple[Event, ...]], OptOuts]:
        """Events of all users and who opted out, at one moment."""
        with self.everybody():
            events = {user: tuple(history.events) for user, history in self.histories.items()}
            return events, OptOuts(self.opted_out.secret, set(self.opted_out.digests))

    def replace(self, histories: dict[str, History], opted_out: OptOuts) -> None:
        """Puts other users in place of all."""
        with self.everybody():
            self.histories, self.opted_out = histories, opted_out
            self._states.clear()
