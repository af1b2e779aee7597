"""The class that a service calls: events in, recommendations out, events forgotten."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..choosing import shown_slates
from ..output import Output
from .consent import describe_user
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
from .users import History, Users
from .vault import read_users, write_users

Places = npt.NDArray[np.int64]
_WIDE = 110  # items beyond those asked for, of which a slate is made


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
        pruned: share of the linear layers' weights, the smallest, that are set to 0.

    Example:
        recommender = Recommender.load("exports/a")
        recommender.observe(Event("anna", "video-017", 0.8, datetime.datetime.now()))
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
        pruned: float = 0.0,
    ) -> None:
        if not isinstance(states, int) or states < 1:
            raise ValueError(f"states must be a whole number from 1 on, got {shown(states)}")
        self.model, self.items = model, model.items
        self.search = search
        self.reader = Reader(model.network, model.slots, precision, compiled, pruned)
        self._users = Users(states)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        states: int = 10_000,
        precision: str = "fp32",
        compiled: bool = False,
        pruned: float = 0.0,
    ) -> Recommender:
        """The recommender of a folder that ``driftrec export`` wrote; options as of the class.

        Raises:
            ValueError: where the folder is damaged or holds something else.
        """
        if not isinstance(folder, str | Path):
            raise ValueError(f"folder must be a path, got {shown(folder)}")
        model, index = load(Path(folder))
        search = exact if index is None else Nearest(index)
        served = cls(model, search, states, precision, compiled, pruned)
        served.reader.warm_up()
        served.recommend("nobody", k=1)  # what searches is compiled as well
        return served

    # --- what a service calls -------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Takes note of an event, at the cost of one token at most; of none who opted out.

        It costs none where its time and request are the ``at`` and ``request`` of the latest
        recommendation to its user.

        Raises:
            ValueError: where it is no event, or of an item that the catalogue does not have.
        """
        check_event(event)
        entry = self._entry(event)
        users = self._users
        with users.lock(event.user), torch.inference_mode():
            if event.user in users.opted_out:
                return
            entries = users.history(event.user).entries
            state = users.state(event.user) if entries else State()
            if state is not None and entries:
                state = self.reader.extend(state, entries, entry)
            users.note(event, entry)
            if state is not None:
                users.keep(event.user, state)

    def restore(self, events: Iterable[Event]) -> None:
        """Takes note of many events at once: they are read when their user is served next.

        Raises:
            ValueError: as ``observe``; then none of them is noted.
        """
        if not isinstance(events, Iterable):
            raise ValueError(f"events must be a collection of Event, got {shown(events)}")
        checked = []
        for event in events:
            check_event(event)
            checked.append((event, self._entry(event)))
        for event, entry in checked:
            with self._users.lock(event.user):
                if event.user not in self._users.opted_out:
                    self._users.note(event, entry)
                    self._users.drop_state(event.user)

    def recommend(
        self,
        user: str,
        request: str = "",
        k: int = 10,
        at: datetime.datetime | None = None,
        exclude: Iterable[str] = (),
    ) -> list[Recommendation]:
        """What to show a user now, the best first, at the cost of one token.

        The first K are the slate that the trained policy shows, made of what scores highest; where
        more are asked for, the others follow by their scores. Of a user without events nothing is
        known but the request.

        Args:
            user: id of the user.
            request: what is asked for, in words; the known request that is nearest counts.
            k: how many.
            at: local time of the request; now if None.
            exclude: ids of items that are not to be shown, for instance those bought already.

        Raises:
            ValueError: naming the argument, what came and what was expected.
        """
        check_text("user", user, NAME_LENGTH)
        check_text("request", request, TEXT_LENGTH, empty=True)
        check_time("at", at)
        left_out = self.items.rows(exclude)
        check_count(k, len(self.items) - len(left_out))
        with torch.inference_mode():
            output = self.output(user, self.asked(request, at))
            items, scores = self.search(output, int(k) + len(left_out), _WIDE)
            if len(left_out):
                kept = ~np.isin(items, left_out)
                items, scores = items[kept], scores[kept]
            order = self._order(output, items, int(k))
        names = zip(items[order].tolist(), scores[order].tolist(), strict=True)
        return [
            Recommendation(rank, self.items.ids[item], self.items.title[item], score)
            for rank, (item, score) in enumerate(names, 1)
        ]

    def _order(self, output: Output, items: Places, count: int) -> Places:
        """[k] places among ``items``, which score highest and come so: the slate, then the rest."""
        network, slots = self.reader.network, min(self.model.slots, count)
        if network.head.by_item or network.head.whole:
            return np.arange(count)
        first = shown_slates(network, output.of(torch.as_tensor(items)), slots)[0].numpy()
        rest = np.ones(len(items), bool)
        rest[first] = False
        return np.concatenate((first, np.flatnonzero(rest)[: count - slots]))

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
        with self._users.lock(user):
            events = self._users.history(user).events
            kept = [] if isinstance(what, str) else [event for event in events if event != what]
            if len(kept) == len(events):
                raise ValueError(
                    f"what must be a user or an event that was observed, got {shown(user)}"
                    + ("" if isinstance(what, str) else f" and {shown(what.item)}")
                )
            self._users.rewrite(user, self._history(kept))
        return len(events) - len(kept)

    def events(self, user: str) -> tuple[Event, ...]:
        """What a user did, oldest first."""
        check_text("user", user, NAME_LENGTH)
        with self._users.lock(user):
            return tuple(self._users.history(user).events)

    # --- what is a user's own -------------------------------------------------------------------

    def opt_out(self, user: str) -> int:
        """Forgets a user and from now on keeps nothing of them: they are served as a stranger.

        Returns:
            How many events were forgotten.
        """
        check_text("user", user, NAME_LENGTH)
        with self._users.lock(user):
            count = len(self._users.history(user).events)
            self._users.opted_out.add(user)
            self._users.rewrite(user, History())
        return count

    def opt_in(self, user: str) -> None:
        """Takes note of a user's events again."""
        check_text("user", user, NAME_LENGTH)
        with self._users.lock(user):
            self._users.opted_out.discard(user)

    def held(self, user: str) -> dict[str, Any]:
        """All that is held on a user, as plain values for JSON.

        Returns:
            ``user``; ``opted_out``; ``events``, oldest first, with ``item``, ``title``,
            ``feedback``, ``time`` (ISO) and ``request``; and ``state``, None where none is kept:
            how many events were ``read``, the ``memory`` of them (``interest`` [S, F], ``belief``
            [C], keys and values), and ``ahead``: the latest request and the memory with it.
        """
        check_text("user", user, NAME_LENGTH)
        users = self._users
        with users.lock(user):
            events, state = users.history(user).events, users.state(user, served=False)
            return describe_user(user, user in users.opted_out, events, state, self.items)

    def save_users(self, path: str | Path, key: bytes) -> None:
        """Writes the events of all users and who opted out, encrypted; whole or not at all.

        Args:
            path: of the file; the key must not lie beside it.
            key: 32 bytes, see ``driftrec.simulators.privacy.read_key``.

        Raises:
            ValueError: for a bad key, or where ``cryptography`` is not installed.
        """
        write_users(path, key, *self._users.snapshot())

    def load_users(self, path: str | Path, key: bytes) -> int:
        """Reads what ``save_users`` wrote, in place of all that is held now.

        Returns:
            How many users have events.

        Raises:
            ValueError: for another key, a file that was changed, or an item that the catalogue
                does not have; then what is held stays as it is.
        """
        saved, opted_out = read_users(path, key)
        self._users.replace({u: self._history(e) for u, e in saved.items()}, opted_out)
        return len(saved)

    # --- between events and the network ---------------------------------------------------------

    def asked(self, request: str, at: datetime.datetime | None) -> Asked:
        """A request in the network's terms; now if ``at`` is None."""
        when = datetime.datetime.now() if at is None else at
        return Asked(match_request(request, self.items.requests), time_features(when))

    def output(self, user: str, asked: Asked) -> Output:
        """What the network says of a user at a request."""
        with self._users.lock(user), torch.inference_mode():
            entries = self._users.history(user).entries
            state = self._users.state(user)
            if state is None:
                state = self.reader.state_of(entries)
            output, state = self.reader.ask(state, entries, asked)
            if entries:
                self._users.keep(user, state)
            return output

    def attended(self, user: str) -> tuple[tuple[Event, ...], list[Entry]]:
        """The events that a recommendation to a user attends to, also in the network's terms."""
        with self._users.lock(user):
            history = self._users.history(user)
            read = self.reader.attended(len(history.entries))
            return tuple(history.events[read]), list(history.entries[read])

    def _history(self, events: list[Event]) -> History:
        return History(events, [self._entry(event) for event in events])

    def _entry(self, event: Event) -> Entry:
        return Entry(
            self.items.index(event.item),
            float(event.feedback),
            match_request(event.request, self.items.requests),
            time_features(event.time),
        )
