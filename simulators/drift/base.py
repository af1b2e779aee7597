"""What a drift process is: up to five hooks around the answer to a slate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..compiled import draws

if TYPE_CHECKING:
    from ..response import Outcome
    from ..streams import Draw, Floats
    from ..users import Ints, Users
    from ..world import World


@dataclass(frozen=True)
class Drift:
    """A process that moves users or the world; every hook does nothing unless overridden.

    A subclass is a frozen dataclass of knobs. Times are half-lives in requests or hours, so a
    ``strength`` of s makes time run s times as fast for the process, and 0 stops it.
    """

    name: ClassVar[str]

    def scaled(self, strength: float) -> Self:
        """The process at ``strength`` times its preset; 0 stands still, 1 is the preset."""
        raise NotImplementedError

    @property
    def churns(self) -> bool:
        """Whether it makes items come and go."""
        return False

    def lanes(self, world: World) -> int:
        """How many uniform random numbers it takes per user and step, from ``draw[name]``."""
        return 0

    def normals(self, world: World) -> int:
        """How many standard normal ones, from ``draw.normal(name)``."""
        return 0

    def begin(self, world: World, users: Users, past: Users, draw: Draw) -> None:
        """Sets what it keeps of new users.

        Args:
            world: what users share.
            users: [B] users whose episode begins.
            past: [B * H] the same users at the H requests before, oldest first.
            draw: the users' random numbers.
        """

    def tilt(self, world: World, users: Users, interest: Floats) -> None:
        """Adds to the interest acted upon, ``interest`` [B, D], before it is scaled to length 1."""

    def topic_utility(self, world: World, users: Users, bonus: Floats) -> None:
        """Adds to the utility of topics, ``bonus`` [B, C], in logits."""

    def item_utility(
        self, world: World, users: Users, items: npt.NDArray[np.int32], utility: Floats
    ) -> None:
        """Adds to the utility [B, M] of ``items`` [B, M], in logits; -inf takes an item away."""

    def move(self, world: World, users: Users, outcome: Outcome, draw: Draw) -> None:
        """Moves the users after their answer to a slate."""

    def hazard(self, half_life: float) -> np.float32:
        """Probability per step of an event whose waiting time has this half-life, in steps."""
        return _hazard(half_life)

    def _slower(self, strength: float, *names: str) -> Self:
        """The process with the named half-lives divided by ``strength``."""
        changes = {n: getattr(self, n) / strength if strength > 0 else np.inf for n in names}
        return replace(self, **changes)

    def _weaker(self, strength: float, *names: str) -> Self:
        """The process with the named sizes multiplied by ``strength``."""
        return replace(self, **{n: getattr(self, n) * strength for n in names})


@lru_cache
def _hazard(half_life: float) -> np.float32:
    return np.float32(1 - 2 ** (-1 / half_life)) if half_life > 0 else np.float32(1)


def overriding(processes: Iterable[Drift], hook: str) -> list[Callable[..., None]]:
    """The hooks of this name that do something, in the order in which they act."""
    return [
        getattr(process, hook)
        for process in processes
        if getattr(type(process), hook) is not getattr(Drift, hook)
    ]


def pick(weights: Floats, uniform: Floats) -> Ints:
    """[..., B] indices drawn from each row of ``weights`` [B, n], by uniform numbers [..., B]."""
    uniforms = np.ascontiguousarray(uniform).reshape(-1, len(weights))
    picked: Ints = draws.pick(weights, uniforms).reshape(uniform.shape)
    return picked
