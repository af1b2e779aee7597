"""What a session looks like: as text, as a picture, in a window.

Matplotlib is imported when the first picture is drawn, never by ``import driftrec.envs``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from driftrec.simulators import Outcome, Simulator, Users

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
MODES = ("ansi", "rgb_array", "human")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass
class Scene:
    """One request and its answer.

    Attributes:
        taste: [C] cosine of the interest that was acted upon with each topic.
        satiation: [C] how tired of each topic the user was; zeros where nothing satiates.
        interest: [C] the same interest as the agent infers it, in its own unit; None if it is
            not told.
        patience: share of the patience left, 0 to 1.
        clock: hours on the world's clock, Monday 0:00 = 0.
        request: what the user asked for; empty for nothing in particular.
        slate: [K] items shown; empty before the first slate.
        taken: slot taken, K for none.
        grade: of the item taken, 0 to 1.
        rewards: of every request so far.
        shifts: after which requests, counted from 1, the long-term taste was replaced.
        left: whether the user left after this answer.
    """

    taste: Floats
    satiation: Floats
    interest: Floats | None
    patience: float
    clock: float
    request: str
    slate: npt.NDArray[np.int32]
    taken: int
    grade: float
    rewards: list[float] = field(default_factory=list)
    shifts: list[int] = field(default_factory=list)
    left: bool = False

    @property
    def time(self) -> str:
        """Weekday and time of day."""
        hours = self.clock % 168
        return f"{_DAYS[int(hours // 24)]} {int(hours % 24):02d}:{int(hours * 60 % 60):02d}"


class Viewer:
    """Watches one user and draws what happened last.

    Args:
        simulator: the world.
        horizon: requests until an episode is cut.
        mode: "ansi", "rgb_array" or "human": a window, or printed text where there is no display.
    """

    def __init__(self, simulator: Simulator, horizon: int, mode: str) -> None:
        self.simulator, self.horizon, self.mode = simulator, horizon, mode
        self._figure: Figure | None = None
        self._told: Floats | None = None
        self.scene: Scene | None = None
        self._items_per_topic = np.maximum(np.diff(simulator.world.first), 1)

    def begin(self, users: Users) -> None:
        """A new user has come."""
        self._told = None
        self._next = self.scene = self._state_of(users)
        self._show()

    def tell(self, interest: npt.ArrayLike | None) -> None:
        """What the agent takes the interest to be, for the next slate.

        Args:
            interest: [C] weight of each topic, or [N] score of each item; None for nothing.

        Raises:
            ValueError: for another shape or a number that is not finite.
        """
        if interest is None:
            self._told = None
            return
        world = self.simulator.world
        told = np.asarray(interest, np.float32)
        num_topics, num_items = len(world.centers), len(world.catalog)
        if told.shape not in ((num_topics,), (num_items,)) or not np.isfinite(told).all():
            raise ValueError(
                f"interest must be finite and of shape ({num_topics},) topics or ({num_items},) "
                f"items, got {told.shape}"
            )
        if len(told) != num_topics:
            total = np.bincount(world.topic, told, num_topics)
            told = (total / self._items_per_topic).astype(np.float32)
        self._told = told

    def see(self, outcome: Outcome, users: Users, left: bool) -> None:
        """The user has answered a slate and moved on."""
        scene, past = self._next, self._last()
        scene.slate, scene.taken = outcome.slates[0], int(outcome.choice[0])
        scene.grade, scene.left, scene.interest = float(outcome.grade[0]), left, self._told
        scene.rewards = [*past.rewards, float(outcome.reward[0])]
        scene.shifts = list(past.shifts)
        if users.shifted[0]:
            scene.shifts.append(len(scene.rewards))
        self.scene, self._next, self._told = scene, self._state_of(users), None
        self._show()

    def _last(self) -> Scene:
        if self.scene is None:
            raise ResetNeeded("reset must be called before render")
        return self.scene

    def _strongest(self, weight: Floats, count: int = 4) -> str:
        """The topics with the largest ``weight`` [C], in words."""
        names = self.simulator.world.catalog.topic_names
        best = np.argsort(-weight, kind="stable")[:count]
        return ", ".join(f"{names[k]} {weight[k]:.2f}" for k in best)

    def _state_of(self, users: Users) -> Scene:
        simulator = self.simulator
        centers = simulator.world.centers
        satiation = users.state.get("satiation")
        none = np.zeros(len(centers), np.float32)
        return Scene(
            taste=centers @ users.interest[0],
            satiation=none if satiation is None else np.asarray(satiation[0], np.float32).copy(),
            interest=None,
            patience=float(users.patience[0] / simulator.domain.patience.most),
            clock=float(users.clock[0]),
            request=simulator.world.request_text[int(simulator.requests(users)[0])],
            slate=np.zeros(0, np.int32),
            taken=0,
            grade=0.0,
        )

    # --- the three ways of showing -------------------------------------------------------------

    def frame(self) -> str | Image | None:
        """The last request: text, or an RGB picture [height, width, 3]; None in a window's mode.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self.mode == "ansi":
            return self.text()
        return self.picture() if self.mode == "rgb_array" else None

    def text(self) -> str:
        """The last request in a few lines."""
        scene, catalog = self._last(), self.simulator.world.catalog
        lines = [
            f"request {len(scene.rewards)} of {self.horizon}, {scene.time}, "
            f"patience {max(scene.patience, 0):.0%}, reward so far {sum(scene.rewards):.1f}"
        ]
        if scene.request:
            lines.append(f'asks for "{scene.request}"')
        lines.append(f"likes  {self._strongest(scene.taste)}")
        if scene.interest is not None:
            lines.append(f"agent  {self._strongest(scene.interest)}")
        if scene.satiation.max() > 0.5:
            lines.append(f"tired  {self._strongest(scene.satiation)}")
        for slot, item in enumerate(scene.slate):
            mark = f"  <- {scene.grade:.0%}" if slot == scene.taken else ""
            lines.append(f"{slot + 1:3d}. {catalog.title[item]}{mark}")
        if len(scene.slate) and scene.taken == len(scene.slate):
            lines.append("     nothing taken")
        if scene.shifts[-1:] == [len(scene.rewards)]:
            lines.append("The long-term taste has just been replaced.")
        if scene.left:
            lines.append("The user leaves.")
        return "\n".join(lines)

    def picture(self) -> Image:
        """The last request as an RGB picture [height, width, 3]."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        from .picture import draw

        figure = Figure(figsize=(12, 6.75), dpi=100)
        canvas = FigureCanvasAgg(figure)
        draw(figure, self._last(), self.simulator.world.catalog, self.horizon)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _show(self) -> None:
        if self.mode != "human":
            return
        from matplotlib import pyplot
        from matplotlib.backends import BackendFilter, backend_registry

        from .picture import draw

        # Matplotlib takes a backend without windows where it finds no display.
        windows = backend_registry.list_builtin(BackendFilter.INTERACTIVE)
        if pyplot.get_backend().lower() not in windows:
            warnings.warn("no display for render_mode 'human': printing text", stacklevel=4)
            print(self.text(), end="\n\n")
            return
        if self._figure is None:
            pyplot.ion()
            self._figure = pyplot.figure(figsize=(12, 6.75))
        self._figure.clear()
        draw(self._figure, self._last(), self.simulator.world.catalog, self.horizon)
        pyplot.pause(0.001)

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._figure is not None:
            from matplotlib import pyplot

            pyplot.close(self._figure)
        self._figure = None
