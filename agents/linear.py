"""Linear bandits: a ridge regression of each user's feedback, made to forget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from driftrec.simulators.streams import Floats, normal

from .adaptive import InterestAgent, InterestConfig, SlateArray, product
from .agent import AgentConfig, State, check_range
from .observation import Observation
from .search import Range, Space

_BLOCK = 64  # users whose [N, F] intermediates fit the cache


@dataclass(frozen=True)
class RidgeConfig(InterestConfig):
    """Options of the linear bandits.

    Attributes:
        ridge: lambda, in squared lengths of features; the prior is the population's grade.
        alpha: bonus in standard deviations of the estimate, sigma that of a slot's feedback in the
            platform's log; for Thompson sampling the scale of the draws.
    """

    ridge: float = 3.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("ridge", self.ridge, 0, open_below=True)
        check_range("alpha", self.alpha, 0)


@dataclass(frozen=True)
class DiscountedConfig(RidgeConfig):
    """Options of the bandits that forget by discount.

    Attributes:
        gamma: weight of a slate relative to the next one, in (0, 1]; 1 never forgets.
    """

    gamma: float = 0.96

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("gamma", self.gamma, 0, 1, open_below=True)


class RidgeAgent(InterestAgent):
    """Grade of item x: b + <theta, x> + alpha sigma sqrt(x' V^-1 W V^-1 x), per user.

    V = sum_t gamma^(T - t) sum_k x_tk x_tk' + ridge I; W is V with gamma^2 for gamma;
    theta = V^-1 sum_t gamma^(T - t) sum_k (y_tk - b_tk) x_tk, b what the population gives.
    """

    Config: ClassVar[type[AgentConfig]] = RidgeConfig
    config: RidgeConfig
    gamma: float = 1.0

    def newborn(self, num_users: int) -> State:  # noqa: D102
        size = self.features.shape[1]
        state = {
            "gram": np.zeros((num_users, size, size), np.float32),
            "moment": np.zeros((num_users, size), np.float32),
        }
        if self.config.alpha > 0:
            state["gram2"] = state["gram"].copy()
        return state

    def learn(self, state: State, slates: SlateArray, feedback: Floats) -> State:  # noqa: D102
        gamma, steps = np.float32(self.gamma), slates.shape[1]
        fade = gamma ** np.arange(steps - 1, -1, -1, dtype=np.float32)  # [T]
        shape = (len(slates), -1)
        weight = (fade[:, None] * (slates >= 0)).reshape(shape)  # [B, T * K]
        surprise = self.surprise(slates, feedback).reshape(shape)
        learned = {name: state[name] * gamma**steps for name in ("gram", "moment")}
        if "gram2" in state:
            learned["gram2"] = state["gram2"] * gamma ** (2 * steps)
        for start in range(0, len(slates), _BLOCK):
            rows = slice(start, start + _BLOCK)
            x = self.features[slates[rows].reshape(-1, weight.shape[1])]
            weighted = (x * weight[rows, :, None]).transpose(0, 2, 1)  # [b, F, T * K]
            learned["gram"][rows] += np.matmul(weighted, x)
            learned["moment"][rows] += np.matmul(weighted, surprise[rows, :, None])[:, :, 0]
            if "gram2" in state:
                learned["gram2"][rows] += np.matmul(weighted * weight[rows, None], x)
        return learned

    def grade(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        precision = state["gram"] + self._prior()
        if self.config.alpha == 0:
            theta = np.linalg.solve(precision, state["moment"][:, :, None])[:, :, 0]
            return self.bias + product(theta, self.features)
        inverse = np.linalg.inv(precision)
        theta = np.matmul(inverse, state["moment"][:, :, None])[:, :, 0]
        covariance = np.matmul(np.matmul(inverse, state["gram2"] + self._prior()), inverse)
        return self.bias + product(theta, self.features) + self._bonus(covariance)

    def _prior(self) -> Floats:
        return np.float32(self.config.ridge) * np.eye(self.features.shape[1], dtype=np.float32)

    def _bonus(self, covariance: Floats) -> Floats:
        bonus = np.empty((len(covariance), len(self.features)), np.float32)
        for start in range(0, len(covariance), _BLOCK):
            rows = slice(start, start + _BLOCK)
            spread = np.matmul(self.features, covariance[rows]) * self.features  # [b, N, F]
            bonus[rows] = np.sqrt(np.maximum(spread.sum(2), 0))
        return np.float32(self.config.alpha * self.noise) * bonus


class DiscountedLinUCB(RidgeAgent):
    """LinUCB whose regression forgets by the discount gamma.

    Source: Russac, Vernade & Cappe (2019), "Weighted linear bandits for non-stationary
    environments", algorithm 1, with K items a round and a prior mean.
    """

    Config: ClassVar[type[AgentConfig]] = DiscountedConfig
    search: ClassVar[Space] = {
        "gamma": Range(0.85, 1.0, grid=(0.96, 0.98)),
        "reserve": Range(-1.0, 0.5, grid=(-0.5, 0.0)),
        "diversity": Range(0.0, 0.6, grid=(0.1, 0.2)),
        "ridge": Range(0.5, 10.0, log=True, grid=(2.0,)),
        "alpha": Range(0.0, 1.0, grid=(0.3,)),
        "satiation": Range(0.0, 0.5),
    }

    def __init__(self, env: Any, config: DiscountedConfig | None = None) -> None:
        super().__init__(env, config)
        assert isinstance(self.config, DiscountedConfig)
        self.gamma = self.config.gamma


@dataclass(frozen=True)
class WindowConfig(RidgeConfig):
    """Options of ``SlidingWindowLinUCB``.

    Attributes:
        window: slates remembered, at most the H of an observation.
    """

    diversity: float = 0.2
    alpha: float = 0.1
    window: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("window", self.window, 1)


class SlidingWindowLinUCB(RidgeAgent):
    """LinUCB on the last ``window`` slates, which the observation holds.

    Source: Cheung, Simchi-Levi & Zhu (2019), "Learning to optimize under non-stationarity".
    """

    Config: ClassVar[type[AgentConfig]] = WindowConfig
    search: ClassVar[Space] = {
        "window": Range(5, 50, grid=(25, 40)),
        "reserve": Range(-1.0, 0.5, grid=(-0.5, 0.0)),
        "diversity": Range(0.0, 0.6, grid=(0.1, 0.2)),
        "ridge": Range(0.5, 10.0, log=True, grid=(2.0,)),
        "alpha": Range(0.0, 1.0, grid=(0.1,)),
        "satiation": Range(0.0, 0.5),
    }
    config: WindowConfig

    def __init__(self, env: Any, config: AgentConfig | None = None) -> None:
        super().__init__(env, config)
        if self.config.window > self.platform.history:
            raise ValueError(
                f"window must be at most the history of {self.platform.history} slates, "
                f"got {self.config.window}"
            )

    def newborn(self, num_users: int) -> State:  # noqa: D102
        return {}

    def learn(self, state: State, slates: SlateArray, feedback: Floats) -> State:  # noqa: D102
        return {}

    def grade(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        window = slice(-self.config.window, None)
        slates, feedback = observation["slates"][:, window], observation["feedback"][:, window]
        empty = super().newborn(len(slates))
        return super().grade(super().learn(empty, slates, feedback), observation)


@dataclass(frozen=True)
class ThompsonConfig(DiscountedConfig):
    """Options of ``DiscountedThompson``."""

    diversity: float = 0.2
    ridge: float = 2.0
    gamma: float = 0.97
    alpha: float = 0.1


class DiscountedThompson(DiscountedLinUCB):
    """theta is drawn from N(theta, alpha^2 sigma^2 V^-1) at every request.

    V and theta are those of ``DiscountedLinUCB``.

    Source: Kim & Tewari (2020), "Randomized exploration for non-stationary stochastic linear
    bandits".
    """

    Config: ClassVar[type[AgentConfig]] = ThompsonConfig
    search: ClassVar[Space] = {
        "gamma": Range(0.85, 1.0, grid=(0.96, 0.98)),
        "reserve": Range(-1.0, 0.5, grid=(-0.5, 0.0)),
        "diversity": Range(0.0, 0.6, grid=(0.1, 0.2)),
        "ridge": Range(0.5, 10.0, log=True, grid=(2.0,)),
        "alpha": Range(0.01, 1.0, log=True, grid=(0.1,)),
        "satiation": Range(0.0, 0.5),
    }

    def newborn(self, num_users: int) -> State:  # noqa: D102
        state = super().newborn(num_users)
        state.pop("gram2", None)
        return state

    def grade(self, state: State, observation: Observation) -> Floats:  # noqa: D102
        precision, size = state["gram"] + self._prior(), self.features.shape[1]
        noise = normal(self.uniform(state, 2 * ((size + 1) // 2)))[:, :size]
        # V = L L', so L'^-1 z has covariance V^-1 and theta = L'^-1 (L^-1 moment + alpha sigma z).
        lower = np.linalg.cholesky(precision)
        half = np.linalg.solve(lower, state["moment"][:, :, None])
        half += np.float32(self.config.alpha * self.noise) * noise[:, :, None]
        theta = np.linalg.solve(lower.transpose(0, 2, 1), half)[:, :, 0]
        return self.bias + product(theta, self.features)
