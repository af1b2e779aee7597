"""What an agent may know of the environment that it acts in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from driftrec.simulators import Catalog, Simulator
from driftrec.simulators.streams import Floats

from .features import PublicLog, public_log


@dataclass(frozen=True)
class Platform:
    """The public side of an environment: what a team that runs the platform has.

    Attributes:
        catalog: the items.
        worth: [N] reward per unit of graded feedback on each item (minutes, price).
        slate_size: K.
        history: H, slates in an observation.
    """

    catalog: Catalog
    worth: Floats
    slate_size: int
    history: int
    _simulator: Simulator = field(repr=False)

    @classmethod
    def of(cls, env: Any) -> Platform:
        """The platform of an environment: single, vector, wrapped, or an SB3 ``VecEnv``.

        Raises:
            ValueError: if ``env`` is none of driftrec's.
        """
        simulator = attribute(env, "simulator")
        return cls(
            catalog=simulator.world.catalog,
            worth=simulator.worth,
            slate_size=simulator.slate_size,
            history=simulator.history,
            _simulator=simulator,
        )

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.catalog)

    @property
    def born(self) -> Floats | None:
        """[N] hour of the week at which each item comes out; None where none comes and goes."""
        hours: Floats | None = getattr(self._simulator, "born", None)
        return hours

    @property
    def log(self) -> PublicLog:
        """What the platform's own log of other users says about its items."""
        own = getattr(self._simulator, "public_log", None)  # of a world of others' making
        return public_log(self._simulator) if own is None else PublicLog(**own())


def attribute(env: Any, name: str) -> Any:
    """``name`` of the environment beneath any wrappers; the first one's in an SB3 ``VecEnv``.

    Raises:
        ValueError: if the environment has no such attribute.
    """
    bare = getattr(env, "unwrapped", env)
    if hasattr(bare, name):
        return getattr(bare, name)
    try:
        return env.get_attr(name)[0]
    except (AttributeError, TypeError, IndexError):
        raise ValueError(
            f"env must be an environment of driftrec, got {type(bare).__name__}, "
            f"which has no {name!r}"
        ) from None
