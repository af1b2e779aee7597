"""The class that a service calls: events in, recommendations out, events forgotten."""

from __future__ import annotations

import datetime
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..output import Output
from .event import (
    NAME_LENGTH,
    TEXT_LENGTH,
    Event,
    Recommendation,
    check_count,
    check_event,
    check_text,
    check_time,
    shown,
    time_features,
)
from .folder import load
from .items import match_request
from .model import ServedModel
from .reader import Asked, Entry, Reader, State
from .retrieval import Nearest, Search, exact

_STRIPES = 64  # locks that users share


class Recommender:
    """Serves a trained model to many users, from many threads.

    Of every user it holds the events and the state that the network has reached (memories and
    keys), which is a function of the events alone: a user whose event is forgotten gets, bit for
    bit, what one who never had it gets. States are a cache: of the users who were served last.

    Args:
        model: what is served.
        search: how the best items are found.
        states: users whose state is kept; those of others are read anew when they come back.
        precision: "fp32", or "bf16" or "int8" for linear layers in fewer bits.
        compiled: whether a step is compiled by ``torch.compile``.

    Example:
        recommender = Recommender.load("exports/a")
        recommender.observe(Event("anna", "video-17", 0.8, datetime.datetime.now()))
        recommender.recommend("anna", request="a quiet evening", k=5)
        recommender.forget("anna")
    """

    def __init__(
        self,
        model: ServedModel,
        search: Search = exact,
        states: int = 10_000,
        precision: str = "fp32",
        compiled: bool = False,
    ) -> None:
        if states < 1:
            raise ValueError(f"states must be at least 1, got {states}")
        self.model, self.items = model, model.items
        self.search, self.limit = search, states
        self.reader = Reader(model.network, model.slots, precision, compiled)
        self._histories: dict[str, _History] = {}
        self._states: OrderedDict[str, State] = OrderedDict()
        self._locks = [threading.Lock() for _ in range(_STRIPES)]  # of a user's events and state
        self._order = threading.Lock()  # of who was served last

    @classmethod
    def load(
        cls,
        folder: str | Path,
        states: int = 10_000,
        precision: str = "fp32",
        compiled: bool = False,
    ) -> Recommender:
        """The recommender of a folder that ``driftrec export`` wrote; options as of the class.

        Raises:
            ValueError: where the folder is damaged or holds something else.
        """
        model, index = load(Path(folder))
        search = exact if index is None else Nearest(index)
        return cls(model, search, states, precision, compiled)

    # --- what a service calls -------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Takes note of an event, at the cost of one token at most.

        It costs none where its time and request are the ``at`` and ``request`` of the latest
        recommendation to its user.

        Raises:
            ValueError: where it is no event, or of an item that the catalogue does not have.
        """
        check_event(event)
        entry = self._entry(event)
        with self._lock(event.user), torch.inference_mode():
            entries = self._histories.get(event.user, _History()).entries
            state = self._state(event.user) if entries else State()
            if state is not None and entries:
                state = self.reader.extend(state, entries, entry)
            self._note(event, entry)
            if state is not None:
                self._keep(event.user, state)

    def restore(self, events: Iterable[Event]) -> None:
        """Takes note of many events at once: they are read when their user is served next.

        Raises:
            ValueError: as ``observe``; then none of them is noted.
        """
        checked = []
        for event in events:
            check_event(event)
            checked.append((event, self._entry(event)))
        for event, entry in checked:
            with self._lock(event.user):
                self._note(event, entry)
                with self._order:
                    self._states.pop(event.user, None)

    def recommend(
        self, user: str, request: str = "", k: int = 10, at: datetime.datetime | None = None
    ) -> list[Recommendation]:
        """The ``k`` items that score highest for a user now, best first, at the cost of one token.

        Of a user without events nothing is known but the request.

        Args:
            user: id of the user.
            request: what is asked for, in words; the known request that is nearest counts.
            k: how many.
            at: local time of the request; now if None.

        Raises:
            ValueError: naming the argument, what came and what was expected.
        """
        check_text("user", user, NAME_LENGTH)
        check_text("request", request, TEXT_LENGTH, empty=True)
        check_count(k, len(self.items))
        check_time("at", at)
        with torch.inference_mode():
            items, scores = self.search(self.output(user, self.asked(request, at)), int(k))
        names = zip(items.tolist(), scores.tolist(), strict=True)
        return [
            Recommendation(rank, self.items.ids[item], self.items.title[item], score)
            for rank, (item, score) in enumerate(names, 1)
        ]

    def forget(self, what: Event | str) -> int:
        """Forgets an event, or all that a user did; what was forgotten leaves no trace.

        Args:
            what: an event as it was observed, or the id of a user.

        Returns:
            How many events were forgotten.

        Raises:
            ValueError: where there is no such event or user.
        """
        if not isinstance(what, Event | str):
            raise ValueError(f"what must be an Event or the id of a user, got {shown(what)}")
        user = what if isinstance(what, str) else what.user
        with self._lock(user):
            events = self._histories.get(user, _History()).events
            kept = [] if isinstance(what, str) else [event for event in events if event != what]
            if len(kept) == len(events):
                raise ValueError(
                    f"what must be a user or an event that was observed, got {shown(user)}"
                    + ("" if isinstance(what, str) else f" and {shown(what.item)}")
                )
            with self._order:
                self._states.pop(user, None)
            if kept:
                self._histories[user] = _History(kept, [self._entry(event) for event in kept])
            else:
                del self._histories[user]
        return len(events) - len(kept)

    def events(self, user: str) -> tuple[Event, ...]:
        """What a user did, oldest first."""
        check_text("user", user, NAME_LENGTH)
        with self._lock(user):
            return tuple(self._histories.get(user, _History()).events)

    # --- between events and the network ---------------------------------------------------------

    def asked(self, request: str, at: datetime.datetime | None) -> Asked:
        """A request in the network's terms; now if ``at`` is None."""
        when = datetime.datetime.now() if at is None else at
        return Asked(match_request(request, self.items.requests), time_features(when))

    def output(self, user: str, asked: Asked) -> Output:
        """What the network says of a user at a request."""
        with self._lock(user), torch.inference_mode():
            entries = self._histories.get(user, _History()).entries
            state = self._state(user)
            if state is None:
                state = self.reader.state_of(entries)
            output, state = self.reader.ask(state, entries, asked)
            if entries:
                self._keep(user, state)
            return output

    def entries(self, user: str) -> list[Entry]:
        """A user's events in the network's terms, oldest first."""
        with self._lock(user):
            return list(self._histories.get(user, _History()).entries)

    def _entry(self, event: Event) -> Entry:
        return Entry(
            self.items.index(event.item),
            float(event.feedback),
            match_request(event.request, self.items.requests),
            time_features(event.time),
        )

    def _note(self, event: Event, entry: Entry) -> None:
        history = self._histories.setdefault(event.user, _History())
        history.events.append(event)
        history.entries.append(entry)

    def _lock(self, user: str) -> threading.Lock:
        return self._locks[hash(user) % _STRIPES]

    def _state(self, user: str) -> State | None:
        with self._order:
            if user in self._states:
                self._states.move_to_end(user)
            return self._states.get(user)

    def _keep(self, user: str, state: State) -> None:
        with self._order:
            self._states[user] = state
            self._states.move_to_end(user)
            if len(self._states) > self.limit:
                self._states.popitem(last=False)


@dataclass
class _History:
    """A user's events, and the same in the network's terms."""

    events: list[Event] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
