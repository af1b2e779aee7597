"""Adaptive agents without a network: an estimate of the interest, renewed at every slate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from driftrec.simulators.streams import Floats

from .agent import Agent, AgentConfig, Slates, State, check_range
from .diversity import balanced_slates, diverse_slates
from .features import hours_out
from .observation import Observation
from .particles import weekly_hours
from .search import Range, Space

SlateArray = npt.NDArray[Any]
_LEAST = np.float32(1e-3)  # grade that is multiplied


@dataclass(frozen=True)
class InterestConfig(AgentConfig):
    """How predicted grades become a slate; the same for all agents that predict grades.

    Attributes:
        satiation: predicted grades are multiplied by exp(-satiation * recent consumption of the
            item's topics); 0 ignores that users tire.
        recovery: requests until half of a consumption is forgotten.
        diversity: charge for an item of cosine 1 with one above it, as a share of the user's
            largest score.
        balance: charge for each item above of the same main topic, likewise; above 0 it stands in
            for ``diversity``, where users take several items from a slate or tire of a topic at
            once.
        reserve: worth that a taken item must have before it counts, as a share of the mean worth:
            at most one item of a slate is taken, so a cheap one displaces a dear one. Below 0 it is
            what pleasing the user is worth beyond the reward: who is pleased stays.
    """

    satiation: float = 0.1
    recovery: float = 6.0
    diversity: float = 0.07
    balance: float = 0.0
    reserve: float = 0.0

    def __post_init__(self) -> None:
        check_range("satiation", self.satiation, 0)
        check_range("recovery", self.recovery, 0, open_below=True)
        check_range("diversity", self.diversity, 0)
        check_range("balance", self.balance, 0)
        check_range("reserve", self.reserve, -np.inf)


class InterestAgent(Agent):
    """Scores an item by its predicted grade times its worth, less what age and satiation take.

    A subclass learns from slates (``learn``) and predicts grades (``grade``). An item that was
    shown and not taken has grade 0.
    """

    Config: ClassVar[type[AgentConfig]] = InterestConfig
    config: InterestConfig

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        super().__init__(env, config)
        log = self.platform.log
        self.features, self.bias, self.position = log.features, log.bias, log.position
        self._by_age, self._born = log.by_age, self.platform.born
        self.noise = log.noise
        self.topics = self.platform.catalog.topics
        self._kinds = self.platform.catalog.main_topic
        self._price = self.platform.worth / self.platform.worth.mean()
        self._price = self._price - np.float32(self.config.reserve)

    # --- hooks of the subclass -----------------------------------------------------------------

    def newborn(self, num_users: int) -> State:
        """What is kept of users of whom nothing is known."""
        raise NotImplementedError

    def learn(self, state: State, slates: SlateArray, feedback: Floats) -> State:
        """The state after T more slates [B, T, K], oldest first, and the feedback on them."""
        raise NotImplementedError

    def grade(self, state: State, observation: Observation) -> Floats:
        """[B, N] predicted grade of each item in the next slate."""
        raise NotImplementedError

    # --- hooks of Agent ------------------------------------------------------------------------

    def begin(self, observation: Observation) -> State:  # noqa: D102
        slates, feedback = observation["slates"], observation["feedback"]
        num_users = len(slates)
        state = self.newborn(num_users)
        state["tired"] = np.zeros((num_users, self.topics.shape[1]), np.float32)
        return self._learn(state, slates, feedback)

    def update(self, state: State, observation: Observation) -> State:  # noqa: D102
        return self._learn(state, observation["slates"][:, -1:], observation["feedback"][:, -1:])

    def act(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        grade = self.grade(state, observation)
        if self._by_age is not None and self._born is not None:
            hour = np.floor(weekly_hours(observation["time"]) + np.float32(1e-3))
            age = hours_out(hour[:, None], self._born)
            grade = np.maximum(grade, _LEAST) * self._by_age[age]
        if self.config.satiation > 0:
            taste = np.exp(
                -np.float32(self.config.satiation) * product(state["tired"], self.topics)
            )
            grade = np.maximum(grade, _LEAST) * taste
        return grade * self._price

    def choose(  # noqa: D102
        self, state: State, observation: Observation, deterministic: bool
    ) -> Slates:
        if self.config.diversity == 0 and self.config.balance == 0:
            return super().choose(state, observation, deterministic)
        scores = self.available(self.act(state, observation), observation)
        size, largest = self.platform.slate_size, np.maximum(scores.max(1), 0)
        if self.config.balance > 0:
            charge = np.float32(self.config.balance) * largest
            return balanced_slates(scores, self._kinds, size, charge)
        return diverse_slates(
            scores, self.features, size, np.float32(self.config.diversity) * largest
        )

    def _learn(self, state: State, slates: SlateArray, feedback: Floats) -> State:
        rho = np.float32(2 ** (-1 / self.config.recovery))
        fade = rho ** np.arange(slates.shape[1], 0, -1, dtype=np.float32)  # [T]
        user, time, slot = np.nonzero(feedback)
        eaten = self.topics[slates[user, time, slot]] * fade[time, None]
        tired = state["tired"] * rho ** slates.shape[1]
        np.add.at(tired, user, eaten)
        return {**self.learn(state, slates, feedback), "tired": tired}

    def surprise(self, slates: SlateArray, feedback: Floats) -> Floats:
        """[B, T, K] feedback less what the population gives the item in that slot."""
        return feedback - self.bias[slates] * self.position


@dataclass(frozen=True)
class MovingAverageConfig(InterestConfig):
    """Options of ``MovingAverageInterest``.

    Attributes:
        decay: weight of a slate relative to the next one, in (0, 1].
        gain: predicted grade per unit of the mean's product with an item.
    """

    satiation: float = 0.3
    diversity: float = 0.3
    decay: float = 0.95
    gain: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("decay", self.decay, 0, 1, open_below=True)
        check_range("gain", self.gain, 0)


class MovingAverageInterest(InterestAgent):
    """Grade of item x: b + gain <m, x>, m a moving average, per user.

    m = sum_t decay^(T - t) sum_k (y_tk - b_tk) x_tk / sum_t decay^(T - t)

    b is what the population gives the item, so m is the mean of what was liked less the mean of
    what was shown.
    """

    Config: ClassVar[type[AgentConfig]] = MovingAverageConfig
    search: ClassVar[Space] = {
        "reserve": Range(-1.0, 0.5, grid=(-0.5, 0.0)),
        "satiation": Range(0.0, 0.5, grid=(0.1, 0.3)),
        "diversity": Range(0.0, 0.6, grid=(0.2, 0.3)),
        "gain": Range(0.5, 10.0, log=True, grid=(5.0,)),
        "decay": Range(0.8, 0.99),
    }
    config: MovingAverageConfig

    def newborn(self, num_users: int) -> State:  # noqa: D102
        return {
            "mean": np.zeros((num_users, self.features.shape[1]), np.float32),
            "weight": np.zeros((num_users, 1), np.float32),
        }

    def learn(self, state: State, slates: SlateArray, feedback: Floats) -> State:  # noqa: D102
        decay, steps = np.float32(self.config.decay), slates.shape[1]
        fade = decay ** np.arange(steps - 1, -1, -1, dtype=np.float32)
        there = slates >= 0  # an empty slot would be the last item
        weight = fade * there[:, :, 0]  # [B, T]
        surprise = self.surprise(slates, feedback) * there * weight[:, :, None]
        shape = (len(slates), -1)
        x = self.features[slates.reshape(shape)]  # [B, T * K, F]
        moved = np.matmul(surprise.reshape(shape)[:, None], x)[:, 0]  # [B, F]
        before = state["weight"] * decay**steps
        total = before + weight.sum(1, keepdims=True)
        mean = (before * state["mean"] + moved) / np.maximum(total, np.float32(1e-9))
        return {"mean": mean, "weight": total}

    def grade(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        return self.bias + np.float32(self.config.gain) * product(state["mean"], self.features)


def product(users: Floats, items: Floats) -> Floats:
    """[B, N] products of the rows of ``users`` [B, F] with those of ``items`` [N, F].

    One matrix-vector product a user, as in ``driftrec.simulators.users.project``: slates must not
    depend on the batch.
    """
    return np.matmul(items, users[:, :, None])[:, :, 0]
