"""The best policy that looks at nobody: what a world must not let win."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .seeds import validation_users

if TYPE_CHECKING:
    from driftrec.agents import Agent
    from driftrec.envs import DriftVectorEnv

Maker = Callable[[Any], "Agent"]
LOOP = 20  # items of the longest constant policy


def constant_policies(env: DriftVectorEnv) -> Iterator[tuple[str, Maker]]:
    """Policies that show the same to everybody, by name."""
    from driftrec.agents.constant import FixedLoop

    for name, merit in constant_merits(env).items():
        yield name, partial(FixedLoop, merit=merit)


def constant_merits(env: DriftVectorEnv) -> dict[str, npt.NDArray[np.float32]]:
    """[L, N] merits of items in each of L slates in turn, by name of the policy.

    The best of each topic, the best by quality and by popularity, the slate that earns most of all
    validation users together, and a loop of such slates that has ``LOOP`` items. The search for the
    last two reads the users' true utilities: a constant policy cannot do better by being learned.
    """
    from driftrec.agents import Platform

    platform = Platform.of(env)
    earns = platform.log.bias * platform.worth
    merits = {"quality first": platform.catalog.quality[None], "popularity": earns[None]}
    for topic, name in enumerate(platform.catalog.topic_names):
        merits[f"topic {name}"] = (earns * (platform.catalog.topics[:, topic] + 1e-6))[None]
    slates = _best_for_all(env, earns)
    merits["best for all"] = slates[0][None]
    merits[f"loop of {len(slates) * platform.slate_size}"] = np.stack(slates)
    return {name: merit.astype(np.float32) for name, merit in merits.items()}


def _best_for_all(
    env: DriftVectorEnv, earns: npt.NDArray[np.float32]
) -> list[npt.NDArray[np.float32]]:
    """[N] merits of the items of one slate after the other, no item in two of them."""
    from driftrec.agents.assortment import Assortment

    simulator = env.unwrapped.simulator
    env.reset(seed=validation_users())
    users = env.unwrapped.session.users
    assert users is not None
    assortment, size = Assortment(simulator), simulator.slate_size
    utility = simulator.utility_of_all(users)[None]  # all users in one: [1, B, N]
    unused, slates = np.ones((1, len(earns)), bool), []
    for _ in range(min(-(-LOOP // size), len(earns) // size)):
        items = assortment.shortlist(utility, unused, 10 * size)
        items = items[:, unused[0, items[0]]]
        slate = assortment.best(np.take(utility, items[0], 2), items)[0]
        unused[0, slate] = False
        place = np.zeros_like(earns)  # what is not to be had makes way for what is popular
        place[slate] = earns.max() * 2 - np.arange(size, dtype=np.float32) * 1e-3
        slates.append(np.maximum(earns, place))
    return slates
