"""The simulator: B users answer slates, and drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .compiled import bonuses, draws, kernels
from .domain import Domain
from .drift import ItemLifecycle
from .drift.abrupt import draw_anchor
from .drift.base import overriding, pick
from .drift.lifecycle import timetable
from .response import Outcome
from .slates import best_slates, slate_gain
from .streams import Draw, Floats, Lanes, user_keys
from .users import Ints, Users
from .world import CYCLE, WEEK, World

Slates = npt.NDArray[np.int32]
Mask = npt.NDArray[np.int8]
_BLOCK = 64  # users started at once, so that their warm-ups fit the cache


class Simulator:
    """The law by which users answer and change; holds no user itself.

    Args:
        domain: knobs of the platform.
        world: items, topics and segments.
        history: H, slates of the warm-up that every user has lived through.
        slate_size: K.
    """

    def __init__(self, domain: Domain, world: World, *, slate_size: int, history: int) -> None:
        self.domain, self.world = domain, world
        self.slate_size, self.history = slate_size, history
        self.worth = domain.response.worth(world.catalog)
        ageing = [p for p in domain.drift if isinstance(p, ItemLifecycle) and p.churns]
        self._lifecycle = ageing[0] if ageing else None
        self._stock = self._lifecycle.stock(world) if self._lifecycle else world.stock
        self.features = np.concatenate(
            (
                np.float32(domain.affinity) * world.attributes,
                world.catalog.quality[:, None],
                -world.price[:, None],
            ),
            axis=1,
        ).astype(np.float32)
        answer = {"choice": domain.choice.draws(slate_size), "response": 2}
        self._answer_lanes = Lanes(answer)
        self._log_lanes = Lanes({"topics": 2, "items": 2 * slate_size})
        self._lanes = Lanes(
            answer | {p.name: p.lanes(world) for p in domain.drift},
            {p.name: p.normals(world) for p in domain.drift},
        )
        patience = domain.patience
        self._patience = np.array((patience.most, patience.loss, patience.gain), np.float32)
        self._wait = np.float32(domain.hours_per_request)
        self._tilts = overriding(domain.drift, "tilt")
        self._topic_utilities = overriding(domain.drift, "topic_utility")
        self._item_utilities = overriding(domain.drift, "item_utility")
        self._moves = overriding(domain.drift, "move")

    # --- the life of a user -------------------------------------------------------------------

    def start(self, seed: Ints, episode: Ints) -> tuple[Users, Slates, Floats]:
        """Draws users and lets them live through the warm-up.

        Args:
            seed: [B] one seed a user.
            episode: [B] how many episodes this seed has begun before.

        Returns:
            The users, their last H slates [B, H, K] and the feedback on them [B, H, K].
        """
        blocks = [
            self._start_block(seed[i : i + _BLOCK], episode[i : i + _BLOCK])
            for i in range(0, len(seed), _BLOCK)
        ]
        if len(blocks) == 1:
            return blocks[0]
        users, slates, feedback = zip(*blocks, strict=True)
        return _concatenate(users), np.concatenate(slates), np.concatenate(feedback)

    def _start_block(self, seed: Ints, episode: Ints) -> tuple[Users, Slates, Floats]:
        key, steps = user_keys(seed, episode), self.history
        zero = np.zeros(len(key), np.int64)
        draw = Draw(key, zero - 1 - steps, self._lanes)
        users = self.newborn(key, draw)
        past = users.take(np.repeat(np.arange(len(users)), steps))
        past.step[:] = np.tile(np.arange(-steps, 0), len(users))
        past.clock += np.float32(self.domain.hours_per_request) * past.step
        for process in self.domain.drift:
            process.begin(self.world, users, past, draw)
        self._refresh(users)
        self._refresh(past)
        slates = self.logged_slates(past)
        outcome = self._answer(past, slates, Draw(past.key, past.step, self._answer_lanes))
        shape = (len(users), steps, self.slate_size)
        return users, slates.reshape(shape), outcome.feedback.reshape(shape)

    def newborn(self, key: npt.NDArray[np.uint64], draw: Draw) -> Users:
        """Users as they are before any process has begun."""
        rows, dims = np.arange(len(key)), self.world.dimensions
        own = draw.extra(rows, "newborn", 2)
        anchor = draw_anchor(self.world, rows, draw, "anchor")
        query = np.ones((len(key), dims + 2), np.float32)
        mean = np.float32(self.domain.population.price_sensitivity)
        query[:, -1] = mean * (np.float32(0.5) + own[:, 0])
        return Users(
            key=key,
            step=np.zeros(len(key), np.int64),
            clock=own[:, 1] * np.float32(CYCLE),
            anchor=anchor,
            taste=anchor.copy(),
            query=query,
            patience=np.full(len(key), self.domain.patience.most, np.float32),
            shifted=np.zeros(len(key), bool),
        )

    def logged_slates(self, past: Users) -> Slates:
        """[B * H, K] slates of an earlier recommender.

        A slot is uniform over the catalogue (``exploration``), or over one of the two topics drawn
        for its slate in proportion to exp(4 <interest, c_k>), which take turns.
        """
        draw = Draw(past.key, past.step, self._log_lanes)
        pull = kernels.products(past.query, self.world.centers)
        pull *= np.float32(4)
        two = pick(np.exp(pull, out=pull), draw["topics"].T)
        exploration = np.float32(self.domain.exploration)
        shown: Slates = draws.log_slates(
            draw["items"], two, past.clock, exploration, self.items_churn, self._stock
        )
        return shown

    def step(self, users: Users, slates: Slates) -> tuple[Outcome, npt.NDArray[np.bool_]]:
        """One request: the users answer ``slates`` [B, K], then drift.

        An item that is shown twice in one slate, or is not available, fills its slot and is never
        taken from it.

        Returns:
            What they did, and which users [B] leave.
        """
        draw = Draw(users.key, users.step, self._lanes)
        outcome = self._answer(users, slates, draw)
        for move in self._moves:
            move(self.world, users, outcome, draw)
        left: npt.NDArray[np.bool_] = kernels.pass_request(
            users.patience, users.step, users.clock, outcome.grade, self._patience, self._wait
        )
        self._refresh(users)
        return outcome, left

    def consume(self, users: Users, items: Ints, clock: Floats) -> None:
        """The users take ``items`` [B] to the full, found without a slate, and drift.

        Afterwards it is ``clock`` [B] hours. For logs that record no slates.
        """
        ones = np.ones(len(users), np.float32)
        outcome = Outcome(
            slates=items[:, None].astype(np.int32),
            choice=np.zeros(len(users), np.int64),
            item=items,
            consumed=np.ones(len(users), bool),
            grade=ones,
            reward=ones,
        )
        draw = Draw(users.key, users.step, self._lanes)
        for move in self._moves:
            move(self.world, users, outcome, draw)
        users.step += 1
        users.clock[:] = clock
        self._refresh(users)

    def _refresh(self, users: Users) -> None:
        """Sets the interest that users act upon at their next request."""
        interest = users.taste.copy()
        for tilt in self._tilts:
            tilt(self.world, users, interest)
        kernels.unit_rows(interest, users.query)

    def _answer(self, users: Users, slates: Slates, draw: Draw) -> Outcome:
        utility = self.utility(users, slates)
        take_repeated_away(utility, slates)
        choice = self.domain.choice.choose(utility, draw["choice"])
        item, consumed, liked = kernels.what_was_taken(utility, slates, choice)
        grade = self.domain.response.grade(liked, draw["response"])
        grade *= consumed
        reward = self.domain.response.reward(grade, self.worth.take(item))
        return Outcome(slates, choice, item, consumed, grade, reward)

    # --- what the users think of items ---------------------------------------------------------

    def utility(self, users: Users, items: Slates) -> Floats:
        """[B, M] utility of ``items`` [B, M] to each user, in logits, before noise and position."""
        utility: Floats = kernels.match(self.features, users.query, items)
        self.add_bonuses(users, items, utility)
        return utility

    def utility_of_all(self, users: Users) -> Floats:
        """[B, N] utility of every item: for oracles and diagnosis, never needed by ``step``."""
        utility = users.query @ self.features.T
        items = np.arange(len(self.worth), dtype=np.int32)
        self.add_bonuses(users, np.broadcast_to(items, utility.shape), utility)
        return utility

    def add_bonuses(self, users: Users, items: Slates, utility: Floats) -> None:
        """Adds to the utility [B, M] of ``items`` [B, M] what they and their topics have just now.

        That is all of it but the match with the users' interest, the quality and the price.
        """
        if self._topic_utilities:
            bonus = np.zeros((len(users), len(self.world.centers)), np.float32)
            for topic_utility in self._topic_utilities:
                topic_utility(self.world, users, bonus)
            bonuses.add_by_topic(utility, bonus, self.world.topic, items)
        for item_utility in self._item_utilities:
            item_utility(self.world, users, items, utility)

    @property
    def items_churn(self) -> bool:
        """Whether items come and go."""
        return self._lifecycle is not None

    @property
    def born(self) -> Floats | None:
        """[N] hour of the week at which each item comes out, as its publisher knows.

        None where none comes and goes, or not by the week.
        """
        if self._lifecycle is None or self._lifecycle.period != WEEK:
            return None
        return timetable(self._lifecycle, self.world).born.astype(np.float32)

    def available(self, users: Users, out: Mask | None = None) -> Mask:
        """[B, N] 1 where an item can be taken at the user's clock, written to ``out`` if given."""
        return self.available_at(users.clock, out)

    def available_at(self, clock: Floats, out: Mask | None = None) -> Mask:
        """[B, N] 1 where an item can be taken at the ``clock`` [B], written to ``out`` if given."""
        if self._lifecycle is None:
            return np.ones((len(clock), len(self.worth)), np.int8)
        return self._lifecycle.available(self.world, clock, out)

    def update_available(self, clock: Floats, available: Mask, hour: Ints) -> None:
        """Brings ``available`` [B, N] to the ``clock`` [B]; it is of the ``hour`` [B], -1 for none.

        It becomes what ``available_at`` gives, and only users whose hour is over cost anything.
        """
        if self._lifecycle is not None:
            self._lifecycle.update(self.world, clock, available, hour)

    def requests(self, users: Users) -> Ints:
        """[B] what the users ask for now, 0 for nothing in particular."""
        request = users.state.get("request")
        return np.zeros(len(users), np.int64) if request is None else request.astype(np.int64)

    def expected_reward(self, users: Users, slates: Slates) -> Floats:
        """[B] mean reward of showing ``slates`` [B, K] now, over choice and response."""
        utility = self.utility(users, slates)
        reward = self.domain.response.expected_reward(utility, self.worth[slates])
        take_repeated_away(utility, slates)
        return (self.domain.choice.probability(utility)[:, :-1] * reward).sum(1)

    def log_gain(self, users: Users, loyalty: float = 0.0, attained: float = 1.0) -> Floats:
        """[B, N] log of v_j (E[reward_j] - z), by which the best slate is made, see ``slate_gain``.

        With ``loyalty`` in the sense of ``best_slate``; ``attained`` is the share of the best
        slate's reward z that is reckoned with, less where the user is not known so well.
        """
        utility = self.utility_of_all(users)
        gain = slate_gain(self, utility, loyalty=loyalty, attained=attained)
        return np.log(np.maximum(gain, np.float32(1e-6)))

    def best_slate(
        self, users: Users, rounds: int = 4, loyalty: float = 0.0
    ) -> tuple[Slates, Floats]:
        """The slate with the largest expected reward now, and that reward: [B, K], [B].

        With ``loyalty`` the slate is the best where grade 1 earned so much more: whoever is pleased
        stays, and what that is worth no reward of one request tells.

        Under a logit choice the best K items maximise sum v_j (r_j - z), z the reward of the best
        slate itself (Rusmevichientong, Shen & Shmoys, 2010): a fixed point, found by a few rounds.
        Best first, whatever the position bias. For the cascade this is close to the best.
        """
        slates = np.empty((len(users), self.slate_size), np.int32)
        for start in range(0, len(users), 512):
            rows = np.arange(start, min(start + 512, len(users)))
            utility = self.utility_of_all(users.take(rows))
            slates[rows] = best_slates(self, utility, rounds, loyalty)
        return slates, self.expected_reward(users, slates)


def take_repeated_away(utility: Floats, slates: Slates) -> None:
    """Sets the utility [B, K] of a slot to -inf where an item stands in a slot above it too."""
    kernels.drop_repeated(utility, slates)


def _concatenate(parts: Sequence[Users]) -> Users:
    first = parts[0]
    joined = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("key", "step", "clock", "anchor", "taste", "query", "patience", "shifted")
    }
    state = {k: np.concatenate([p.state[k] for p in parts]) for k in first.state}
    return Users(**joined, state=state)
