"""A particle filter over users whose law of drift is known and whose state is not."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Drift, Outcome, Simulator, Users
from driftrec.simulators.drift import AbruptShift, RequestChain, SessionInterest
from driftrec.simulators.simulator import take_repeated_away
from driftrec.simulators.streams import Draw, Floats, Keys, Lanes, mix64

from .observation import Observation
from .particles import Belief, spread_out, weekly_hours

Slates = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


class Tracker:
    """Begins beliefs and moves them along; holds none itself.

    Particles hold all of the state but the topic of the session, whose law given the rest is a
    hidden Markov chain and is followed exactly (a Rao-Blackwellised particle filter: Doucet, de
    Freitas, Murphy & Russell, 2000). They are ``Users`` that the simulator's own processes move;
    only the session and the request, which is observed, are taken from these and put into the
    likelihood. Requests within the warm-up are not observed: only the last one is taken into
    account, for as long as it may have stood.

    Args:
        simulator: whose law is known.
        particles: P.
        hazard: probability per request at which particles try an abrupt shift, where the true one
            is smaller; their weights make up for it (importance sampling).
        jitter: noise on particles drawn anew, as a share of their spread.
    """

    def __init__(self, simulator: Simulator, particles: int, hazard: float, jitter: float) -> None:
        self.simulator, self.world, self.domain = simulator, simulator.world, simulator.domain
        self.particles, self.jitter = particles, jitter
        drift = self.domain.drift
        self.session = next((p for p in drift if isinstance(p, SessionInterest)), None)
        self.request = next((p for p in drift if isinstance(p, RequestChain)), None)
        self._shift_odds: tuple[np.float32, np.float32] | None = None
        guessed = [p for p in drift if not isinstance(p, SessionInterest | RequestChain)]
        self.guessed = tuple(self._eager(p, hazard) for p in guessed)
        self.centers = np.zeros((1, self.world.dimensions), np.float32)  # [C, D], by their length
        if self.session is not None:
            self.centers = self.world.centers * np.float32(self.session.weight)
        own = {p.name: p.lanes(self.world) for p in self.guessed}
        normals = {p.name: p.normals(self.world) for p in self.guessed}
        self._lanes = Lanes(
            {**own, "resample": 1, "asked": 1}, {**normals, "apart": self.world.dimensions}
        )

    def _eager(self, process: Drift, hazard: float) -> Drift:
        """The process, in a version that shifts more often if it shifts at all."""
        if not isinstance(process, AbruptShift):
            return process
        true = process.hazard(process.half_life)
        if not 0 < true < hazard:
            return process
        self._shift_odds = true / np.float32(hazard), (1 - true) / np.float32(1 - hazard)
        return replace(process, half_life=float(-1 / np.log2(1 - hazard)))

    # --- beginning -----------------------------------------------------------------------------

    def begin(self, key: Keys, observation: Observation) -> Belief:
        """The belief after the H slates of the warm-up, in which only the session moves.

        Args:
            key: [B] streams of random numbers.
            observation: batched.
        """
        slates, feedback = observation["slates"], observation["feedback"]
        history = slates.shape[1]
        belief, asked = self._newborn(key, observation)
        users, now = belief.users, belief.users.clock.copy()
        ends = self._session_ends(np.zeros(len(key), np.float32))
        for step in range(-history, 0):
            users.step[:] = step
            users.clock[:] = now + np.float32(self.domain.hours_per_request * step)
            self._set_request(belief, observation, asked <= step)
            self._session_moves(belief, ends)
            self._learn(belief, self.outcome(slates[:, step], feedback[:, step]))
            self._draw_anew(belief)
        users.step[:] = 0
        users.clock[:] = now
        if self.request is not None:
            stale = np.float32(0.1)  # it may be left over from a session before
            told = self.request.likelihood(self.world, observation["request"])
            self._hear(belief, (1 - stale) * told + stale * told.mean(1, keepdims=True))
        return belief

    def _newborn(self, key: Keys, observation: Observation) -> tuple[Belief, Ints]:
        """The belief before the warm-up, and since which step [B * P] the request has stood."""
        (num, history), size = observation["slates"].shape[:2], self.particles
        slot = np.arange(size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        keys = mix64(key[:, None] + slot).ravel()
        draw = Draw(keys, np.full(num * size, -1 - history), self._lanes)
        users = self.simulator.newborn(keys, draw)
        if "time" in observation:  # which of the world's weeks it is, is not observed
            hours = np.repeat(weekly_hours(observation["time"]), size)
            users.clock = np.floor(users.clock / 168) * np.float32(168) + hours
        past = users.take(np.arange(len(users)))
        for process in self.guessed:
            process.begin(self.world, users, past, draw)
        asked = np.full(len(users), -1)
        if self.request is not None:
            users.state["request"] = np.zeros(len(users), np.int32)
            with np.errstate(divide="ignore"):  # 0 where all ask anew, inf where none does
                rate = -np.log1p(-self.request.hazard(self.request.half_life))
                age = -np.log(draw["asked"][:, 0]) / rate
            asked = -1 - np.minimum(age, history).astype(np.int64)
        weight = np.full((num, size), np.float32(1 / size))
        belief = Belief(users, weight, np.ones((num, size, len(self.centers)), np.float32))
        if self.session is not None:
            belief.topics = self._own_topics(belief)
        return belief, asked

    def outcome(self, slates: Slates, feedback: Floats) -> Outcome:
        """What feedback [B, K] on slates [B, K] says that the users did; no reward is read off."""
        consumed = np.asarray((feedback > 0).any(1))
        slot, rows = feedback.argmax(1), np.arange(len(slates))
        return Outcome(
            slates=slates.astype(np.int32),
            choice=np.where(consumed, slot, slates.shape[1]),
            item=np.where(consumed, slates[rows, slot], -1),
            consumed=consumed,
            grade=feedback[rows, slot].astype(np.float32),
            reward=np.zeros(len(slates), np.float32),
        )

    # --- one request ---------------------------------------------------------------------------

    def update(self, belief: Belief, outcome: Outcome, observation: Observation) -> None:
        """Learns from answers [B], in place, and moves on to the next request, as observed."""
        self._learn(belief, outcome)
        self._draw_anew(belief)
        users, size = belief.users, self.particles
        copies = Outcome(*(np.repeat(getattr(outcome, f.name), size, 0) for f in fields(Outcome)))
        draw = Draw(users.key, users.step, self._lanes)
        for process in self.guessed:
            process.move(self.world, users, copies, draw)
        if self._shift_odds is not None:
            belief.reweigh(np.where(users.shifted, *self._shift_odds).reshape(belief.shape))
        users.step += 1
        users.clock += np.float32(self.domain.hours_per_request)
        self._session_moves(belief, self._session_ends(outcome.grade))
        if self.request is not None:
            now, anew = observation["request"], self.request.hazard(self.request.half_life)
            same = users.state["request"][::size] == now
            told = anew * self.request.likelihood(self.world, now) + ((1 - anew) * same)[:, None]
            self._hear(belief, told.astype(np.float32))
            self._set_request(belief, observation, np.ones(len(users), bool))

    def _session_ends(self, grade: Floats) -> Floats:
        """[B] probability that a session ends after these grades [B]."""
        return grade if self.session is None else self.session.ending(grade)

    def _session_moves(self, belief: Belief, ends: Floats) -> None:
        if self.session is not None:
            own = self._own_topics(belief)
            belief.topics = self.session.transition(self.world, belief.topics, own, ends)

    def _own_topics(self, belief: Belief) -> Floats:
        assert self.session is not None
        anchor = belief.users.anchor.reshape(*belief.shape, -1)
        return self.session.own_topics(np.matmul(anchor, self.world.centers.T))

    def _set_request(
        self, belief: Belief, observation: Observation, stands: npt.NDArray[np.bool_]
    ) -> None:
        """Takes the observed request for the particles' own where it ``stands`` [B * P]."""
        if self.request is not None:
            observed = np.repeat(observation["request"], self.particles)
            belief.users.state["request"][:] = np.where(stands, observed, 0)

    def _hear(self, belief: Belief, told: Floats) -> None:
        """Learns from a request whose probability is ``told`` [B, C], by the topic asked for."""
        assert self.request is not None
        if self.session is not None:
            self._condition(belief, told[:, None])
            return
        taste = belief.users.taste.reshape(*belief.shape, -1)
        pull = np.exp(np.float32(self.request.focus) * np.matmul(taste, self.world.centers.T))
        belief.reweigh((pull * told[:, None]).sum(2) / pull.sum(2))

    def _learn(self, belief: Belief, outcome: Outcome) -> None:
        self._condition(belief, self._likelihood(belief, outcome))

    def _condition(self, belief: Belief, likelihood: Floats) -> None:
        """Bayes' rule, for a likelihood that broadcasts to [B, P, C]."""
        joint = belief.topics * likelihood
        evidence = joint.sum(2)
        # Where an answer is impossible by a particle, it learns nothing and loses its weight.
        possible = evidence[:, :, None] > np.float32(1e-30)
        joint /= np.maximum(evidence, np.float32(1e-30))[:, :, None]
        belief.topics = np.where(possible, joint, belief.topics)
        belief.reweigh(evidence)

    def _likelihood(self, belief: Belief, outcome: Outcome) -> Floats:
        """[B, P, C] probability of the answers, up to a factor per user."""
        utility = self._utility(belief, outcome.slates)  # [K, B, P, C]
        likelihood = self.domain.choice.likelihood(utility, outcome.choice)
        rows = np.flatnonzero(outcome.consumed)
        if len(rows):
            taken = utility[outcome.choice[rows], rows]  # [R, P, C]
            grade = outcome.grade[rows, None, None]
            likelihood[rows] *= self.domain.response.likelihood(grade, taken)
        return likelihood

    def _utility(self, belief: Belief, slates: Slates) -> Floats:
        """[K, B, P, C] utility of slates [B, K] to each particle in each session topic.

        The part of item x in topic z is affinity <b + c_z, x> / |b + c_z|, b all but the session.
        """
        users, shape = belief.users, belief.shape
        base = self.interest(users).reshape(*shape, -1)
        square = np.einsum("bpd,bpd->bp", base, base)[:, :, None]
        square = square + 2 * np.matmul(base, self.centers.T)  # [B, P, C]
        square += np.einsum("cd,cd->c", self.centers, self.centers)
        scale = np.float32(self.domain.affinity) / np.sqrt(np.maximum(square, np.float32(1e-12)))
        x = self.world.attributes[slates]  # [B, K, D]
        own = np.matmul(base, x.transpose(0, 2, 1)).transpose(2, 0, 1)  # [K, B, P]
        topical = np.matmul(x, self.centers.T).transpose(1, 0, 2)  # [K, B, C]
        utility = own[..., None] + topical[:, :, None]
        utility *= scale
        rest = self._rest(users, slates).reshape(*shape, -1).transpose(2, 0, 1)
        utility += np.ascontiguousarray(rest)[..., None]
        return utility

    def _rest(self, users: Users, slates: Slates) -> Floats:
        """[B * P, K] utility of slates [B, K] beside the match; -inf where nothing is shown."""
        shown = np.repeat(slates, self.particles, 0)
        quality, price = self.world.catalog.quality[shown], self.world.price[shown]
        rest = quality - users.query[:, -1:] * price
        self.simulator.add_bonuses(users, shown, rest)
        blank = np.where(slates < 0, np.float32(-np.inf), np.float32(0))
        take_repeated_away(blank, slates)
        return rest + np.repeat(blank, self.particles, 0)

    def interest(self, users: Users) -> Floats:
        """[B * P, D] taste and all that tilts it but the session, not scaled to length 1."""
        interest = users.taste.copy()
        for process in self.guessed:
            process.tilt(self.world, users, interest)
        return interest

    def _draw_anew(self, belief: Belief) -> None:
        rows = belief.degenerate()
        if not len(rows):
            return
        users, size = belief.users, self.particles
        first = rows * size
        start = Draw(users.key[first], users.step[first], self._lanes)["resample"]
        places = belief.draw(rows, start)
        draw = Draw(users.key[places], users.step[places], self._lanes)
        noise = draw.normal("apart").reshape(len(rows), size, -1)
        for vectors in (users.anchor, users.taste):  # by the same noise: they move together
            old = vectors[places].reshape(noise.shape)
            vectors[places] = spread_out(old, self.jitter, noise).reshape(len(places), -1)
