"""Networks as next-item recommenders, fitted on a log of who took what by full softmax.

An event is a slate of one item that was taken. Two kinds of network: with the dynamic interest of
``Network`` read out beside what ``mix`` makes of the history, or without it, which leaves a network
of the usual kind: SASRec (Kang & McAuley, 2018), GRU4Rec (Hidasi et al., 2016).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .gru import GRUNetwork
from .network import Network
from .reading import Interest
from .transformer import InterestNetwork

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NO_INTEREST = {"lasting": 1, "passing": 1, "half_lives": (1.0,), "vectors": 1}
NEXT_ITEM: dict[str, tuple[type[Network], dict[str, Any], bool]] = {
    "interest-attention": (InterestNetwork, {}, True),
    "attention": (InterestNetwork, {"conditioned": False}, True),
    "sasrec": (InterestNetwork, {"conditioned": False, **_NO_INTEREST}, False),
    "gru": (GRUNetwork, _NO_INTEREST, False),
}
"""Models by name: the network, its options, and whether the interest is read out."""


@dataclass(frozen=True)
class SequenceConfig:
    """How a network is fitted.

    Attributes:
        length: newest events that it reads.
        batch: windows in a step.
        targets: events of a step, drawn at random, whose probability is raised: the softmax over
            all items is most of what a step costs.
        steps: gradient steps; the rate rises over twenty and falls linearly to a tenth.
        rate: learning rate of Adam.
        dropout: share of the item vectors read, and of what is made of them, that is set to 0.
        checks: how often the steps are judged on validation; the best weights are kept.
    """

    length: int = 50
    batch: int = 32
    targets: int = 768
    steps: int = 250
    rate: float = 4e-3
    dropout: float = 0.2
    checks: int = 5

    def __post_init__(self) -> None:
        for name in ("length", "batch", "targets", "steps", "checks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


def make_next_item(name: str, features: Floats, popularity: Ints, seed: int = 0) -> Network:
    """A network whose scores begin at log popularity.

    Args:
        name: one of ``NEXT_ITEM``.
        features: [N, F] public item vectors, beside which each item learns a vector of its own.
        popularity: [N] events of each item.
        seed: of its weights.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in NEXT_ITEM:
        raise ValueError(f"name must be one of {', '.join(NEXT_ITEM)}, got {name!r}")
    kind, options, remembers = NEXT_ITEM[name]
    public = torch.as_tensor(features, dtype=torch.float32)
    log_share = torch.as_tensor(np.log(popularity + 1.0), dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = kind.Config(**options)
        network = kind(public, torch.zeros(len(public)), log_share - log_share.mean(), 1, config)
    with torch.no_grad():  # for events the memories' first guess is "the same again": learnt anew
        network.read.zero_()
    if not remembers:
        network.read.requires_grad_(False)
        network.interest.requires_grad_(False)
    return network


def windows(sequences: Iterable[Ints], length: int) -> Ints:
    """[W, length + 1] all events in rows of one user, each beginning where the last one ends.

    The newest event ends a row, so that the oldest rows are short; -1 fills them at the end.
    """
    rows = [
        np.pad(part := items[max(end - length - 1, 0) : end], (0, length + 1 - len(part)),
               constant_values=-1)
        for items in sequences
        for end in range(len(items), 1, -length)
    ]  # fmt: skip
    return np.array(rows, np.int64).reshape(-1, length + 1)


def fit_next_item(
    network: Network,
    sequences: list[Ints],
    config: SequenceConfig,
    judge: Callable[[Network], float],
    seed: int = 0,
) -> list[float]:
    """Minimises the cross-entropy of every next item among all items; keeps the best weights.

    Args:
        network: of ``make_next_item``.
        sequences: items that each user took, oldest first.
        config: how.
        judge: says how good the network is on validation, the more the better.
        seed: of the order and of dropout.

    Returns:
        What ``judge`` said at each check.

    Raises:
        ValueError: where no user took two items.
    """
    rows = windows(sequences, config.length)
    if len(rows) == 0:
        raise ValueError("sequences must hold a user with two items or more, got none")
    generator = torch.Generator().manual_seed(seed)
    order = _shuffles(len(rows), config.batch, np.random.default_rng([seed, 11]))
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], config.rate)
    marks = {round((k + 1) * config.steps / config.checks) for k in range(config.checks)}
    said, best = list[float](), copy.deepcopy(network.state_dict())
    for step in range(1, config.steps + 1):
        for group in optimizer.param_groups:
            fall = 1 - 0.9 * step / config.steps
            group["lr"] = config.rate * min(1.0, step / 20) * fall
        batch = torch.as_tensor(rows[next(order)])
        loss = _cross_entropy(network, batch, config, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if step in marks:
            said.append(judge(network))
            if said[-1] == max(said):
                best = copy.deepcopy(network.state_dict())
    network.load_state_dict(best)
    return said


def _shuffles(total: int, batch: int, rng: np.random.Generator) -> Any:
    while True:
        order = rng.permutation(total)
        for start in range(0, max(total - batch, 0) + 1, batch):
            yield order[start : start + batch]


def _cross_entropy(
    network: Network, rows: Tensor, config: SequenceConfig, random: torch.Generator
) -> Tensor:
    """Mean over some of the events, but the first, of rows [B, L + 1]."""
    read, target = rows[:, :-1], rows[:, 1:]
    hidden, interest = _digest(network, read, config.dropout, random)
    user, place = torch.nonzero(target >= 0, as_tuple=True)
    some = torch.randperm(len(user), generator=random)[: config.targets]
    user, place = user[some], place[some]
    hidden = _drop(hidden[user, place][None], config.dropout, random)
    output = network.read_out(hidden, interest.map(lambda part: part[user, place][None]))
    chosen = output.scores_of(target[user, place][None, :, None])[..., 0]
    return (output.log_total() - chosen).mean()


def _digest(
    network: Network, items: Tensor, dropout: float = 0.0, random: torch.Generator | None = None
) -> tuple[Tensor, Interest]:
    """What ``read_out`` needs after each item [B, T]."""
    slates = items[..., None]
    nothing = torch.zeros(items.shape, dtype=torch.long)
    time = torch.zeros(*items.shape, 4)
    seen = network.perceive(slates, (slates >= 0).float(), nothing, time)
    seen = replace(seen, embedding=_drop(seen.embedding, dropout, random))
    interest = network.interest(seen)
    return network.mix_whole(network.tokens(seen), interest.vector), interest


def _drop(value: Tensor, share: float, random: torch.Generator | None) -> Tensor:
    if share == 0:
        return value
    return value * (torch.rand(value.shape, generator=random) >= share) / (1 - share)


@torch.no_grad()
def next_item_scores(
    network: Network, histories: list[Ints], length: int, batch: int = 256
) -> npt.NDArray[np.float32]:
    """[U, N] scores of all items as the next one, after the newest ``length`` of each history.

    Raises:
        ValueError: for an empty history.
    """
    if not all(len(items) for items in histories):
        raise ValueError("histories must each hold an item, got an empty one")
    found = []
    for start in range(0, len(histories), batch):
        newest = [items[-length:] for items in histories[start : start + batch]]
        last = torch.tensor([len(items) - 1 for items in newest])
        rows = torch.full((len(newest), int(last.max()) + 1), -1)
        for row, items in zip(rows, newest, strict=True):
            row[: len(items)] = torch.as_tensor(items)
        found.append(_after(network, rows, last).numpy())
    return np.concatenate(found)


def _after(network: Network, rows: Tensor, last: Tensor) -> Tensor:
    """[B, N] scores after the event in place ``last`` [B] of each row [B, T]."""
    users = torch.arange(len(rows))
    hidden, interest = _digest(network, rows)
    known = interest.map(lambda part: part[users, last][:, None])
    return network.read_out(hidden[users, last][:, None], known).scores[:, 0]
