"""Figures as functions of data frames: one style, colour-blind safe, readable at column width.

Colours are Okabe & Ito's (2008), told apart by kind of agent as well as by marker and label.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .files import write_atomic
from .presets import KINDS

P = ParamSpec("P")

KIND_COLORS = {
    "static": ("#666666", "#aaaaaa"),
    "adaptive": ("#0072B2", "#56B4E9"),
    "learned": ("#D55E00", "#CC79A7", "#E69F00", "#000000", "#882255", "#999933", "#0D0887"),
    "bound": ("#009E73", "#7fceb9"),
}
# The agents that stand in more than one figure look the same in all.
AGENT_COLORS = {
    "random": "#aaaaaa",
    "static-interest": "#666666",
    "discounted-linucb": "#0072B2",
    "discounted-thompson": "#7B5FC4",
    "sliding-linucb": "#6C8EA8",
    "moving-average": "#56B4E9",
    "oracle": "#009E73",
    "bayes-filter": "#5bb89f",
    "interest-attention (PPO)": "#D55E00",
    "interest-attention (REINFORCE)": "#CC79A7",
}
CROWD = "#999999"
KIND_NAMES = {
    "static": "static interest",
    "adaptive": "adaptive, no network",
    "learned": "learned",
    "bound": "bound (sees the state)",
}
MARKERS = {"static": "s", "adaptive": "o", "learned": "D", "bound": "^"}
INK = "#222222"

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 250,
}
WIDTH = 4.4  # inches: 80 % of it is one column of a paper
WITH_LABELS = 5.4  # where the lines' names stand at their right ends
_LINE = 0.135  # inches, of text


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the project's style, without touching the caller's."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


@styled
def reward_curves(
    curves: pd.DataFrame, references: Mapping[str, float] | None = None, title: str = ""
) -> Figure:
    """Validation reward against training user-steps.

    Args:
        curves: columns agent, seed, steps, reward; steps of practice, which comes before all
            else, count up to 0.
        references: level of agents that are not trained, on the same users.
        title: of the figure.

    Returns:
        Mean over the seeds as a line, the range of the seeds as a band.
    """
    levels = references or {}
    color_of = colors(
        dict.fromkeys(curves["agent"].map(str), "learned")
        | {agent: KINDS.get(agent, "adaptive") for agent in levels}
    )
    figure, axes = _figure_of_lines(color_of, title)
    labels: dict[str, tuple[float, str]] = {}
    last = float(curves["steps"].max())
    for agent, rows in curves.groupby("agent", sort=False):
        color = color_of[str(agent)]
        table = rows.pivot_table(index="steps", columns="seed", values="reward")
        table = table.interpolate(method="index", limit_area="inside").dropna()
        if color != CROWD:
            axes.fill_between(
                table.index, table.min(axis=1), table.max(axis=1), color=color, alpha=0.2, lw=0
            )
        axes.plot(table.index, table.mean(axis=1), color=color, zorder=1.9 + (color != CROWD))
        labels[str(agent)] = (float(table.mean(axis=1).iloc[-1]), color)
    for agent, level in levels.items():
        color = color_of[agent]
        axes.axhline(level, color=color, linewidth=1, linestyle=(0, (4, 2)))
        labels[agent] = (level, color)
    first = min(0.0, float(curves["steps"].min()))
    axes.set_xlim(first, last)
    axes.set_xlabel("training user-steps" + (", below 0 of practice" if first < 0 else ""))
    if first < 0:
        axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_ylabel("reward per user-step")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    label_right(axes, labels)
    return figure


@styled
def scores(table: pd.DataFrame, title: str = "") -> Figure:
    """Interquartile mean of each agent with its 95 % interval, best on top.

    Args:
        table: columns agent, kind, score, low, high.
        title: of the figure.
    """
    table = table.sort_values("score", ignore_index=True)
    height, width = 1.3 + 0.25 * len(table), WIDTH + more_width(table["agent"])
    figure, axes = new_figure(height, title, width)
    span = float(table["high"].max())
    for row, line in enumerate(table.itertuples(index=False)):
        color = KIND_COLORS[str(line.kind)][0]
        axes.plot(
            [line.low, line.high], [row, row], color=color, linewidth=2.2, solid_capstyle="butt"
        )
        axes.plot(line.score, row, MARKERS[str(line.kind)], color=color, markersize=4.5)
        axes.text(
            line.high + 0.02 * span, row, f"{line.score:.3f}", va="center", color=color, fontsize=8
        )
    axes.set_yticks(range(len(table)), list(table["agent"]))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlim(0, span * 1.16)
    axes.set_xlabel("reward per user-step")
    handles = [
        matplotlib.lines.Line2D(
            [], [], color=KIND_COLORS[k][0], marker=MARKERS[k], lw=0, ms=4, label=n
        )
        for k, n in KIND_NAMES.items()
        if k in set(table["kind"])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5)
    return figure


@styled
def recovery(table: pd.DataFrame, title: str = "") -> Figure:
    """Share of the best possible reward around an abrupt shift of interest.

    Args:
        table: columns agent, kind, offset, share, low, high.
        title: of the figure.
    """
    color_of = colors_of(table)
    figure, axes = _figure_of_lines(color_of, title)
    labels: dict[str, tuple[float, str]] = {}
    for agent, rows in table.groupby("agent", sort=False):
        color = color_of[str(agent)]
        for side in (rows[rows["offset"] < 0], rows[rows["offset"] >= 0]):
            axes.fill_between(
                side["offset"], side["low"], side["high"], color=color, alpha=0.15, lw=0
            )
            axes.plot(side["offset"], side["share"], color=color)
        labels[str(agent)] = (float(rows["share"].iloc[-4:].mean()), color)
    axes.axvline(-0.5, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.text(
        -0.7, 1.0, "shift", transform=axes.get_xaxis_transform(), ha="right", va="top", fontsize=8
    )
    axes.set_xlim(table["offset"].min(), table["offset"].max())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("steps since the interest jumped")
    axes.set_ylabel("share of the best possible reward")
    label_right(axes, labels)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG (or what the suffix says), whole or not at all."""
    with matplotlib.rc_context(STYLE):
        write_atomic(
            path, lambda temporary: figure.savefig(temporary, bbox_inches="tight", pad_inches=0.05)
        )


def more_width(names: Iterable[str]) -> float:
    """Inches that names longer than most need, so that what is drawn keeps its room."""
    return 0.065 * max(0, max(map(len, names)) - len("interest-attention (REINFORCE)"))


def new_figure(height: float, title: str, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure of one panel, in inches, without pyplot: nothing global, nothing to close."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes


def _figure_of_lines(names: Collection[str], title: str) -> tuple[Figure, Axes]:
    """A figure with room for the names of its lines at their right ends."""
    return new_figure(max(3.0, 0.6 + _LINE * len(names)), title, WITH_LABELS + more_width(names))


def colors(kinds: Mapping[str, str]) -> dict[str, str]:
    """The colour of each agent: its own, or the next of its kind.

    Those without one take turns by the order of their names, so that figures of the same agents
    agree in whatever order each tells of them; where they are more than colours, all are pale.

    Args:
        kinds: kind of each agent.
    """
    given = dict(AGENT_COLORS)
    for kind, palette in KIND_COLORS.items():
        free = [color for color in palette if color not in AGENT_COLORS.values()] or palette
        rest = sorted(name for name, its in kinds.items() if its == kind and name not in given)
        crowd = kind == "learned" and len(rest) > len(free)
        given |= zip(rest, itertools.cycle((CROWD,) if crowd else free), strict=False)
    return {agent: given[agent] for agent in kinds}


def colors_of(table: pd.DataFrame) -> dict[str, str]:
    """The colour of each agent of a table with columns agent and kind."""
    return colors(dict(zip(table["agent"].map(str), table["kind"].map(str), strict=True)))


def label_right(axes: Axes, labels: Mapping[str, tuple[float, str]]) -> None:
    """Write each line's name at its right end, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    inches = cast(Figure, axes.figure).get_figheight() * axes.get_position().height
    gap = _LINE / inches * (high - low)
    names = sorted(labels, key=lambda name: labels[name][0])
    places = spread([labels[name][0] for name in names], gap)
    for name, place in zip(names, places, strict=True):
        axes.annotate(
            name,
            (1.0, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=labels[name][1],
            annotation_clip=False,
        )


def spread(levels: Sequence[float], gap: float) -> list[float]:
    """Move ascending levels apart to at least ``gap``, as little as possible on the whole.

    Example:
        >>> spread([0.0, 1.0, 1.0], 0.5)
        [0.0, 0.75, 1.25]
    """
    clusters: list[list[float]] = []  # [sum of wanted centres, members]
    for level in levels:
        clusters.append([level, 1])
        while len(clusters) > 1 and _overlap(clusters[-2], clusters[-1], gap):
            total, size = clusters.pop()
            clusters[-1][0] += total
            clusters[-1][1] += size
    places: list[float] = []
    for total, size in clusters:
        centre = total / size
        places += [float(centre + gap * (i - (size - 1) / 2)) for i in range(int(size))]
    return list(np.asarray(places).tolist())


def _overlap(lower: list[float], upper: list[float], gap: float) -> bool:
    distance = upper[0] / upper[1] - lower[0] / lower[1]
    return distance < gap * (lower[1] + upper[1]) / 2
