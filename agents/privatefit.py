"""The interest f(history) fitted on a log so that no single user of it shows in what was learned.

Differentially private, a user being the unit: the fit with all a user did and the fit without any
of it are nearly as likely to give the same network.

    Pr[network | log] <= exp(epsilon) Pr[network | log without a user] + delta
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .logfit import UNREAD
from .network import Network


@dataclass(frozen=True)
class PrivateFitConfig:
    """How much is learned, and how much noise hides whom it was learned from.

    Attributes:
        epsilon: what is to be guaranteed at most; the noise follows from it.
        delta: probability with which it may fail; None: a tenth of one over the users.
        passes: over the log, in expectation.
        batch: users of a step, in expectation.
        clip: most that a user's gradient, as a vector of all parameters, may be long.
        rate: learning rate of Adam.
        items: whether item vectors are fitted too: each is learned from few users, and they are
            most of the parameters, so most of the noise.
    """

    epsilon: float
    delta: float | None = None
    passes: int = 4
    batch: int = 256
    clip: float = 0.5
    rate: float = 0.01
    items: bool = False

    def __post_init__(self) -> None:
        for name in ("epsilon", "passes", "batch", "clip", "rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.delta is not None and not 0 < self.delta < 1:
            raise ValueError(f"delta must be in (0, 1), got {self.delta}")


@dataclass(frozen=True)
class Guarantee:
    """What the accountant says of a fit; all of it may be published.

    Attributes:
        epsilon: spent, at ``delta``.
        delta: probability with which it may fail.
        noise: standard deviation of the noise, in clips.
        sample_rate: probability of a user to take part in a step.
        steps: taken.
        users: of the log; their number is taken to be no secret.
    """

    epsilon: float
    delta: float
    noise: float
    sample_rate: float
    steps: int
    users: int


def fit_interest_privately(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    config: PrivateFitConfig,
    seed: int | None = None,
    against: str = "slates",
) -> Guarantee:
    """As ``fit_interest``, by DP-SGD: each user's gradient is clipped, and their sum gets noise.

    What the network was made of before (features, biases and popularity, if they come from the same
    log) is outside of the guarantee: ``make_learner(items="catalogue")`` makes it of nothing from a
    log. The loss would tell about users, so that it is not returned.

    Source: Abadi et al. (2016), "Deep learning with differential privacy"; accountant: Mironov
    (2017), "Renyi differential privacy", as Opacus has it.

    Args:
        network: whose ``interest`` is fitted, but for the vectors of single items.
        slates: [U, H, K] of the log.
        feedback: [U, H, K] graded, on them.
        config: how private.
        seed: of noise and sampling, for tests. Whoever knows it can take the noise off: leave it
            out, and the operating system draws one that nobody learns.
        against: "slates" that users were shown, or "drawn" items beside each event: then the law of
            choice (position, taking nothing) stays as it was, of which such a log says nothing.

    Returns:
        The guarantee.

    Raises:
        ValueError: where Opacus is not installed.
    """
    plan = plan_guarantee(len(slates), config)
    generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
    chain, own = network.interest.chain, network.interest.own
    left = {chain.outside, chain.position} if against != "slates" else set()
    if not config.items:
        left.add(own)
    fitted = [p for p in network.interest.parameters() if p.requires_grad and p not in left]
    optimizer = torch.optim.Adam(fitted, lr=config.rate)
    expected = plan.sample_rate * len(slates)
    for _ in range(plan.steps):
        # Everyone is drawn by a coin of their own, as the accountant has it, not in shuffled turns.
        coins = torch.rand(len(slates), generator=generator, dtype=torch.float64)
        rows = (coins < plan.sample_rate).numpy()
        total = clipped_sum(network, slates[rows], feedback[rows], fitted, config.clip)
        for parameter, part in zip(fitted, total, strict=True):
            noise = torch.randn(part.shape, generator=generator)
            parameter.grad = (part + plan.noise * config.clip * noise) / expected
        optimizer.step()
    optimizer.zero_grad()
    network.read_as_fitted()
    return plan


def clipped_sum(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    fitted: Sequence[torch.nn.Parameter],
    clip: float,
) -> list[Tensor]:
    """Sum of the users' gradients, none of which is longer than ``clip`` over all parameters.

    User by user, which is simple and slow.
    """
    total = [torch.zeros_like(part) for part in fitted]
    for shown, graded in zip(slates, feedback, strict=True):
        gradient = _gradient(network, shown, graded, fitted)
        norm = torch.stack([part.norm() for part in gradient]).norm()
        scale = (clip / norm.clamp_min(1e-12)).clamp_max(1.0)
        for part, own in zip(total, gradient, strict=True):
            part.add_(scale * own)
    return total


def plan_guarantee(users: int, config: PrivateFitConfig) -> Guarantee:
    """The least noise that keeps to the epsilon asked for, and the epsilon spent with it.

    Raises:
        ValueError: where Opacus is not installed, or no noise within its reach is enough.
    """
    try:
        from opacus.accountants import RDPAccountant
        from opacus.accountants.utils import get_noise_multiplier
    except ImportError:
        raise ValueError(
            "a private fit needs the library opacus: pip install 'driftrec[privacy]'"
        ) from None
    delta = 0.1 / users if config.delta is None else config.delta
    share = min(1.0, config.batch / users)
    steps = max(1, round(config.passes / share))
    asked = {"target_epsilon": config.epsilon, "target_delta": delta}
    with warnings.catch_warnings():  # that a bound is loose at very large or small epsilons
        warnings.filterwarnings("ignore", "Optimal order is the")
        try:
            noise = get_noise_multiplier(**asked, sample_rate=share, steps=steps, accountant="rdp")
        except ValueError as error:
            raise ValueError(f"epsilon must be larger, got {config.epsilon}: {error}") from None
        accountant = RDPAccountant()
        accountant.history = [(noise, share, steps)]
        spent = accountant.get_epsilon(delta)
    return Guarantee(float(spent), delta, float(noise), share, steps, users)


def _gradient(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    fitted: Sequence[torch.nn.Parameter],
) -> list[Tensor]:
    """Gradient of one user's mean negative log-likelihood; zeros where a parameter has no part."""
    shown, graded = torch.as_tensor(slates)[None].long(), torch.as_tensor(feedback)[None]
    loss = -network.evidence(shown, graded)[:, UNREAD:].mean()
    gradient = torch.autograd.grad(loss, fitted, allow_unused=True)
    return [
        torch.zeros_like(parameter) if part is None else part
        for parameter, part in zip(fitted, gradient, strict=True)
    ]
