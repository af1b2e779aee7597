"""How private a fit is: what is asked for, what the accountant says, and the noise between them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

PARTS = ("numbers", "interests", "items")
_CLOSE = 1e-3  # of the least noise


@dataclass(frozen=True)
class PrivateFitConfig:
    """How much is learned, and how much noise hides whom it was learned from.

    Attributes:
        epsilon: what is to be guaranteed at most, of all that is read; the noise follows from it.
        delta: probability with which it may fail; None: a tenth of one over the users.
        passes: over the log, in expectation.
        batch: users of a step, in expectation.
        clip: most that a user's gradient, as a vector of all parameters, may be long.
        rate: learning rate of Adam, six times as much of single numbers: see ``fit_interest``.
        parts: what is fitted, each with all before it: "numbers" (odds, half-lives, gains: few, so
            little noise), "interests" (vectors of interests, and what follows what), "items"
            (a vector of each: learned from few users, and most of the noise).
        popular: share of epsilon that is spent on how popular items are, in [0, 1); 0: they stay as
            they are.
        most: longest that a user's feedback, as a vector of all items, may be.
    """

    epsilon: float
    delta: float | None = None
    passes: int = 4
    batch: int = 256
    clip: float = 0.5
    rate: float = 0.02
    parts: str = "numbers"
    popular: float = 0.5
    most: float = 4.0

    def __post_init__(self) -> None:
        for name in ("epsilon", "passes", "batch", "clip", "rate", "most"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.delta is not None and not 0 < self.delta < 1:
            raise ValueError(f"delta must be in (0, 1), got {self.delta}")
        if self.parts not in PARTS:
            raise ValueError(f"parts must be one of {', '.join(PARTS)}, got {self.parts!r}")
        if not 0 <= self.popular < 1:
            raise ValueError(f"popular must be in [0, 1), got {self.popular}")


@dataclass(frozen=True)
class Guarantee:
    """What the accountant says of a fit; all of it may be published.

    Attributes:
        epsilon: spent, at ``delta``.
        delta: probability with which it may fail.
        noise: standard deviation of the noise of a step, in clips.
        sample_rate: probability of a user to take part in a step.
        steps: taken.
        users: of the log; their number is taken to be no secret.
        popularity_noise: standard deviation of the noise of items' popularity, in the longest that
            a user's feedback may be; None where none is read.
    """

    epsilon: float
    delta: float
    noise: float
    sample_rate: float
    steps: int
    users: int
    popularity_noise: float | None = None


def plan_guarantee(users: int, config: PrivateFitConfig, popularity: bool = True) -> Guarantee:
    """The least noise that keeps to the epsilon asked for, and the epsilon spent with it.

    The popularity of items is one Gaussian mechanism over all users, a step one over those drawn;
    together they are what their Renyi divergences add up to.

    Args:
        users: of the log.
        config: how private.
        popularity: whether the log says how popular items are.

    Raises:
        ValueError: where Opacus is not installed, or no noise within reach is enough.
    """
    delta = 0.1 / users if config.delta is None else config.delta
    share = min(1.0, config.batch / users)
    steps = max(1, round(config.passes / share))
    spent, before, counting = _accountant(delta), list[tuple[float, float, int]](), None
    try:
        if popularity and config.popular:
            wanted = config.popular * config.epsilon
            counting = _least_noise(wanted, lambda noise: spent([(noise, 1.0, 1)]))
            before = [(counting, 1.0, 1)]
        noise = _least_noise(config.epsilon, lambda noise: spent([*before, (noise, share, steps)]))
    except OverflowError as error:
        raise ValueError(f"epsilon must be larger, got {config.epsilon}: {error}") from None
    epsilon = spent([*before, (noise, share, steps)])
    return Guarantee(epsilon, delta, noise, share, steps, users, counting)


def _accountant(delta: float) -> Callable[[list[tuple[float, float, int]]], float]:
    """Epsilon spent by mechanisms, each given by its noise, its share of users and its steps."""
    try:
        from opacus.accountants import RDPAccountant
    except ImportError:
        raise ValueError(
            "a private fit needs the library opacus: pip install 'driftrec[privacy]'"
        ) from None

    def spent(history: list[tuple[float, float, int]]) -> float:
        accountant = RDPAccountant()
        accountant.history = history
        with warnings.catch_warnings():  # that a bound is loose at very large or small epsilons
            warnings.filterwarnings("ignore", "Optimal order is the")
            return float(accountant.get_epsilon(delta))

    return spent


def _least_noise(epsilon: float, spent: Callable[[float], float]) -> float:
    """The least noise, nearly, with which no more than ``epsilon`` is spent.

    Raises:
        OverflowError: where there is none.
    """
    low, high = 0.0, 1.0
    while spent(high) > epsilon:
        low, high = high, 2 * high
        if high > 1e5:
            raise OverflowError(f"no noise is enough to spend only {epsilon:g}")
    while high - low > _CLOSE * high:
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > epsilon else (low, middle)
    return high
