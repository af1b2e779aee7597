"""The interest f(history) fitted on a log so that no single user of it shows in what was learned.

Differentially private, a user being the unit: the fit with all a user did and the fit without any
of it are nearly as likely to give the same network.

    Pr[network | log] <= exp(epsilon) Pr[network | log without a user] + delta
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from .guarantee import Guarantee, PrivateFitConfig, plan_guarantee
from .logfit import UNREAD, paced, schedule
from .network import Network

_TOGETHER = 128  # users whose gradients are worked out at once


def fit_interest_privately(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    config: PrivateFitConfig,
    seed: int | None = None,
    against: str = "slates",
) -> Guarantee:
    """As ``fit_interest``, by DP-SGD: each user's gradient is clipped, and their sum gets noise.

    Before that, items' popularity is read: the sum of the users' feedback, each user's clipped,
    gets noise.

    What the network was made of before (features, biases and popularity, if they come from the same
    log) is outside of the guarantee: ``make_learner(items="catalogue")`` makes it of nothing from a
    log. The loss would tell about users, so that it is not returned.

    Source: Abadi et al. (2016), "Deep learning with differential privacy"; accountant: Mironov
    (2017), "Renyi differential privacy", as Opacus has it.

    Args:
        network: whose ``interest`` is fitted.
        slates: [U, H, K] of the log.
        feedback: [U, H, K] graded, on them.
        config: how private.
        seed: of noise and sampling, for tests. Whoever knows it can take the noise off: leave it
            out, and the operating system draws one that nobody learns.
        against: "slates" that users were shown, or "drawn" items beside each event: then the law of
            choice (position, taking nothing) and items' popularity stay as they were, of which such
            a log says nothing.

    Returns:
        The guarantee.

    Raises:
        ValueError: where Opacus is not installed.
    """
    plan = plan_guarantee(len(slates), config, against == "slates")
    generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
    if plan.popularity_noise is not None:
        spread = plan.popularity_noise * config.most
        read_popularity(network, slates, feedback, config.most, spread, generator)
    if config.parts != "numbers":
        _begin(network, generator)
    fitted = _fitted(network, config.parts, against)
    optimizer = torch.optim.Adam(paced(fitted), lr=config.rate)
    expected = plan.sample_rate * len(slates)
    for step in range(plan.steps):
        # Everyone is drawn by a coin of their own, as the accountant has it, not in shuffled turns.
        coins = torch.rand(len(slates), generator=generator, dtype=torch.float64)
        rows = (coins < plan.sample_rate).numpy()
        total = clipped_sum(network, slates[rows], feedback[rows], fitted, config.clip)
        for parameter, part in zip(fitted, total, strict=True):
            noise = torch.randn(part.shape, generator=generator)
            parameter.grad = (part + plan.noise * config.clip * noise) / expected
        schedule(optimizer, config.rate, step, plan.steps)
        optimizer.step()
    optimizer.zero_grad()
    network.read_as_fitted()
    return plan


def read_popularity(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    most: float,
    spread: float,
    generator: torch.Generator,
) -> None:
    """Sets what items get on average by the sum of the users' feedback and noise.

    Every item is taken to have been shown as often, since how often they were is not asked, and
    what noise there is beside the differences of items is known: so they are drawn to their mean.

    Args:
        network: whose ``average`` is set.
        slates: [U, H, K] of the log.
        feedback: [U, H, K] graded, on them.
        most: longest that a user's feedback, as a vector of all items, may be.
        spread: standard deviation of the noise of each item's sum.
        generator: of the noise.
    """
    total, own = torch.zeros(2, len(network.average), dtype=torch.float64)
    for shown, graded in zip(torch.as_tensor(slates), torch.as_tensor(feedback), strict=True):
        item, grade = shown[graded > 0].long(), graded[graded > 0].double()
        own.zero_().index_add_(0, item, grade)
        total += own * (most / own.norm().clamp_min(1e-12)).clamp_max(1.0)
    total += spread * torch.randn(len(total), generator=generator, dtype=torch.float64)
    middle, differ = total.mean(), total.var()
    noise = spread**2 * (1 + 2 * (2 / len(total)) ** 0.5)  # two standard errors above
    told = ((differ - noise) / differ).clamp(0.0, 1.0)
    shown_once = slates.size / len(total)
    found = (middle + told * (total - middle)) / shown_once
    network.average.copy_(found.clamp(0.0, 1.0).float())


def _begin(network: Network, generator: torch.Generator) -> None:
    """Puts lasting interests among the items: where users are would tell about them."""
    with torch.no_grad():
        items = network.perceived
    items = torch.nn.functional.normalize(items - items.mean(0), dim=1)
    own = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    network.interest.chain.begin_at(items, own)


def _fitted(network: Network, parts: str, against: str) -> list[torch.nn.Parameter]:
    """What the log is to teach."""
    chain, own = network.interest.chain, network.interest.own
    left = {chain.outside, chain.position} if against != "slates" else set()
    if parts != "items":
        left.add(own)
    known = [p for p in network.interest.parameters() if p.requires_grad and p not in left]
    return [p for p in known if p.ndim < 2] if parts == "numbers" else known


def clipped_sum(
    network: Network,
    slates: npt.NDArray[np.int32],
    feedback: npt.NDArray[np.float32],
    fitted: Sequence[torch.nn.Parameter],
    clip: float,
) -> list[Tensor]:
    """Sum of the users' gradients, none of which is longer than ``clip`` over all parameters.

    A user's gradient is that of the mean negative log-likelihood of an answer.

    Args:
        network: whose ``interest`` is fitted.
        slates: [U, H, K] of the log.
        feedback: [U, H, K] graded, on them.
        fitted: parameters of ``network``.
        clip: most that a user's gradient may be long.

    Returns:
        A tensor of each parameter's shape; zeros where it has no part, or where there are no users.
    """
    surprise = _Surprise(network)
    name = {parameter: name for name, parameter in surprise.named_parameters()}
    names = [name[parameter] for parameter in fitted]
    given = {part: p.detach() for part, p in zip(names, fitted, strict=True)}

    def loss(parameters: dict[str, Tensor], shown: Tensor, graded: Tensor) -> Tensor:
        found: Tensor = functional_call(surprise, parameters, (shown[None], graded[None]))
        return found

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    total = [torch.zeros_like(part) for part in fitted]
    for start in range(0, len(slates), _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        with torch.no_grad():  # beyond ``grad``'s own: what is not fitted needs none
            shown, graded = torch.as_tensor(slates[rows]).long(), torch.as_tensor(feedback[rows])
            found = each(given, shown, graded)
        parts = [found[part] for part in names]  # [b, ...] each
        norm = torch.stack([part.reshape(len(part), -1).norm(dim=1) for part in parts]).norm(dim=0)
        scale = (clip / norm.clamp_min(1e-12)).clamp_max(1.0)
        for mine, part in zip(total, parts, strict=True):
            mine.add_(torch.tensordot(scale, part, 1))
    return total


class _Surprise(torch.nn.Module):
    """Mean negative log-likelihood of the answers of [B, H, K], as a function of its weights."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, slates: Tensor, feedback: Tensor) -> Tensor:
        """[] in nats."""
        return -self.network.evidence(slates, feedback)[:, UNREAD:].mean()
