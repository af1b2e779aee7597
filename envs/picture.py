"""The picture of a request: who the user is, what the agent takes them for, what was taken."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from driftrec.simulators import Catalog

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .rendering import Scene

Floats = npt.NDArray[np.float32]
_TOPICS = 24  # topics that fit
_SLOTS = 12  # slots that fit
_TITLE = 44  # letters of a title that fit
_INK, _FAINT, _RULE = "#1f2933", "#7b8794", "#e4e7eb"
_TASTE, _BELIEF, _TIRED, _SHIFT = "#2a9d8f", "#e76f51", "#6d597a", "#c1121f"
_TAKEN, _SHARE = "#e3f4f2", "#2a9d8f"


def draw(figure: Figure, scene: Scene, catalog: Catalog, horizon: int) -> None:
    """Draws a scene: topics on the left, the slate on the right, rewards below it."""
    figure.set_facecolor("white")
    _header(figure, scene, catalog, horizon)
    _topics(figure.add_axes((0.135, 0.105, 0.275, 0.755)), scene, catalog)
    _slate(figure.add_axes((0.475, 0.325, 0.505, 0.535)), scene, catalog)
    _rewards(figure.add_axes((0.51, 0.105, 0.465, 0.155)), scene, horizon)


def _header(figure: Figure, scene: Scene, catalog: Catalog, horizon: int) -> None:
    step = len(scene.rewards)
    figure.text(0.02, 0.945, catalog.name, size=17, weight="bold", color=_INK, va="center")
    facts = f"request {step} of {horizon}     {scene.time}     reward {sum(scene.rewards):,.1f}"
    figure.text(0.475, 0.945, facts, size=12.5, color=_INK, va="center")
    figure.text(0.893, 0.945, "patience", size=10, color=_FAINT, va="center", ha="right")
    left = min(max(scene.patience, 0), 1)
    for share, color in ((1.0, _RULE), (left, _TASTE if left > 1 / 3 else _SHIFT)):
        size = (0.074 * share, 0.02)
        bar = Rectangle((0.901, 0.935), *size, color=color, lw=0, transform=figure.transFigure)
        figure.add_artist(bar)


def _topics(axes: Axes, scene: Scene, catalog: Catalog) -> None:
    size = np.bincount(catalog.main_topic, minlength=catalog.num_topics)
    shown = np.sort(np.argsort(-size, kind="stable")[:_TOPICS])
    place = np.arange(len(shown))[::-1]
    taste = scene.taste[shown]
    axes.axvline(0, color=_RULE, lw=1, zorder=0)
    axes.barh(place, taste, height=0.62, color=_TASTE, alpha=0.85, lw=0)
    if scene.interest is not None:
        belief = np.clip(_on_scale(scene.interest, scene.taste)[shown], -0.58, 1.03)
        axes.plot(belief, place, "o", ms=6, color=_BELIEF, mec="white", mew=0.8, zorder=3)
    _tiredness(axes, place, scene.satiation[shown])
    for y, k in zip(place, shown, strict=True):
        name = _short(catalog.topic_names[k], 17)
        axes.text(-0.63, y, name, size=10, color=_INK, ha="right", va="center")
    axes.set(xlim=(-0.6, 1.16), ylim=(-0.7, len(shown) - 0.3))
    axes.set_axis_off()
    _legend(axes, scene)


def _tiredness(axes: Axes, place: npt.NDArray[np.int64], satiation: Floats) -> None:
    for y, level in zip(place, satiation, strict=True):
        if level > 0.05:
            shade = float(min(level / 3, 1))
            axes.add_patch(
                Rectangle(
                    (1.08, y - 0.31), 0.06, 0.62, color=_TIRED, alpha=0.15 + 0.85 * shade, lw=0
                )
            )


def _legend(axes: Axes, scene: Scene) -> None:
    entries = [(_TASTE, "s", "true taste (hidden)"), (_TIRED, "s", "tired of it")]
    if scene.interest is not None:
        entries.insert(1, (_BELIEF, "o", "as the agent sees it"))
    handles = [
        axes.plot([], [], mark, color=color, ms=7, label=label)[0] for color, mark, label in entries
    ]
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.28, -0.005),
        ncol=3,
        frameon=False,
        fontsize=9.5,
        labelcolor=_FAINT,
        handletextpad=0.1,
        columnspacing=1.2,
    )


def _slate(axes: Axes, scene: Scene, catalog: Catalog) -> None:
    axes.set_axis_off()
    slots = min(len(scene.slate), _SLOTS)
    rows = max(slots, 5)
    axes.set(xlim=(0, 100), ylim=(rows, -0.9))
    asked = f"“{_short(scene.request, 70)}”" if scene.request else "What to show next?"
    color = _INK if scene.request else _FAINT
    axes.text(0, -0.55, asked, size=12, color=color, style="italic", va="center")
    for slot in range(slots):
        _slot(axes, scene, catalog, slot, 11 if rows <= 10 else 10)
    _verdict(axes, scene, slots)


def _slot(axes: Axes, scene: Scene, catalog: Catalog, slot: int, letters: int) -> None:
    item, middle, taken = scene.slate[slot], slot + 0.5, slot == scene.taken
    say = partial(axes.text, va="center", color=_INK, size=letters)
    if taken:
        box = Rectangle((0.2, slot + 0.1), 99.4, 0.8, fc=_TAKEN, ec="none")
        axes.add_patch(box)
        for width, shade in ((7.0, _RULE), (7 * scene.grade, _SHARE)):
            axes.add_patch(Rectangle((84.5, middle - 0.16), width, 0.32, color=shade, lw=0))
        say(99, middle, f"{scene.grade:.0%}", ha="right")
    say(4, middle, str(slot + 1), color=_FAINT, ha="right")
    title = _short(catalog.title[item], _TITLE - 4 * taken)
    say(6.5, middle, title, weight="bold" if taken else "normal")
    topic = _short(catalog.topic_names[catalog.main_topic[item]], 15)
    say(83, middle, topic, size=letters - 1.5, color=_FAINT, ha="right")


def _verdict(axes: Axes, scene: Scene, slots: int) -> None:
    """What the rows themselves do not show."""
    if not slots:
        axes.text(0, 0.5, "no slate was shown yet", size=11, color=_FAINT, va="center")
    if len(scene.slate) > slots:
        more = f"… and {len(scene.slate) - slots} more"
        axes.text(6.5, slots + 0.3, more, size=10, color=_FAINT, va="center")
    words = []
    if slots and scene.taken >= len(scene.slate):
        words.append("nothing taken")
    elif scene.taken >= slots > 0:
        words.append(f"took slot {scene.taken + 1}, {scene.grade:.0%}")
    replaced = bool(scene.rewards) and scene.shifts[-1:] == [len(scene.rewards)]
    words += ["taste replaced"] * replaced + ["the user leaves"] * scene.left
    color = _SHIFT if replaced or scene.left else _FAINT
    say = partial(axes.figure.text, color=color, ha="right", va="center", weight="bold")
    say(0.975, 0.28, ", ".join(words), size=11)


def _rewards(axes: Axes, scene: Scene, horizon: int) -> None:
    steps = np.arange(1, len(scene.rewards) + 1)
    axes.bar(steps, scene.rewards, width=0.75, color=_TASTE, alpha=0.85, lw=0)
    for step in scene.shifts:
        axes.axvline(step + 0.5, color=_SHIFT, lw=1.2, ls=(0, (3, 2)))
    low, top = min([0.0, *scene.rewards]), max([0.0, *scene.rewards])
    top = top if top > low else 1.0
    axes.set(xlim=(0.4, horizon + 0.6), ylim=(low * 1.15, top * 1.15))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("request", size=9.5, color=_FAINT, labelpad=2)
    axes.set_ylabel("reward", size=9.5, color=_FAINT)
    axes.tick_params(labelsize=9, colors=_FAINT, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_RULE)


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def _on_scale(values: Floats, like: Floats) -> Floats:
    """``values`` shifted and stretched to the mean and the spread of ``like``."""
    spread = values.std()
    scaled = (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
    return scaled * like.std() + like.mean()
