"""Figures of what agents do with an interest: follow it, attend by it, serve it, move it."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .figures import (
    INK,
    MARKERS,
    WIDTH,
    WITH_LABELS,
    colors_of,
    label_right,
    more_width,
    new_figure,
    styled,
)

SLATES = {
    "coverage": "share of the\ncatalogue shown",
    "diversity": "distance within\na slate",
    "topic_entropy": "spread over topics\nin a session",
}
LAYER_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#000000")


@styled
def interest_tracking(table: pd.DataFrame, title: str = "") -> Figure:
    """How near slates are to the interest that users act upon, over a session.

    Args:
        table: columns agent, kind, step, cosine, low, high.
        title: of the figure.
    """
    figure, axes = new_figure(3.0, title, WITH_LABELS)
    axes.set_ylabel("cosine of slate and interest")
    axes.set_ylim(min(0.0, float(table["low"].min())), 1)
    _lines(axes, table, "cosine")
    return figure


@styled
def displacement(table: pd.DataFrame, title: str = "") -> Figure:
    """How far what agents show has moved the taste, over a session.

    Args:
        table: columns agent, kind, step, degrees, low, high.
        title: of the figure.
    """
    figure, axes = new_figure(3.0, title, WITH_LABELS)
    axes.set_ylabel("taste moved, degrees")
    axes.set_ylim(0, max(1.0, 1.05 * float(table["high"].max())))
    _lines(axes, table, "degrees")
    return figure


@styled
def slates(table: pd.DataFrame, title: str = "") -> Figure:
    """What agents show: how much of the catalogue, how unlike items, how many topics.

    Args:
        table: columns agent, kind, coverage, diversity and topic_entropy, each between 0 and 1; the
            last has no panel where any agent's is NaN.
        title: of the figure.
    """
    colors = table["agent"].map(str).map(colors_of(table))
    table = table.assign(color=colors).sort_values("coverage", ignore_index=True)
    width = WITH_LABELS + more_width(table["agent"])
    figure = Figure(figsize=(width, 1.0 + 0.25 * len(table)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5)
    names = {column: name for column, name in SLATES.items() if table[column].notna().all()}
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, (column, name) in zip(panels, names.items(), strict=True):
        lines = zip(table[column], table["kind"], table["color"], strict=True)
        for row, (value, kind, color) in enumerate(lines):
            axes.plot([0, value], [row, row], color=color, linewidth=1.2)
            axes.plot(value, row, MARKERS[kind], color=color, markersize=4.5, clip_on=False)
            axes.text(value + 0.07, row, f"{value:.2f}", va="center", color=color, fontsize=8)
        axes.set_xlim(0, 1.3)
        axes.set_xticks([0, 0.5, 1])
        axes.set_xlabel(name)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(table)), list(table["agent"]))
    panels[0].set_ylim(-0.6, len(table) - 0.4)
    return figure


@styled
def attention_shift(table: pd.DataFrame, title: str = "") -> Figure:
    """What the interest does to each layer's attention around an abrupt shift.

    Above: the share of the attention that it moves, with its interval. Below: the attention on the
    newest slates over that of an even spread, with the interest and without.

    Args:
        table: columns layer, offset, moved, low, high, newest, newest_plain.
        title: of the figure.
    """
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.set_title(title)
    handles = []
    for (layer, rows), color in zip(table.groupby("layer"), LAYER_COLORS, strict=False):
        above.fill_between(
            rows["offset"], 100 * rows["low"], 100 * rows["high"], color=color, alpha=0.2, lw=0
        )
        above.plot(rows["offset"], 100 * rows["moved"], color=color)
        below.plot(rows["offset"], rows["newest"], color=color)
        below.plot(rows["offset"], rows["newest_plain"], color=color, lw=1, linestyle=(0, (4, 2)))
        handles.append(Line2D([], [], color=color, label=f"layer {layer}"))
    handles.append(
        Line2D([], [], color=INK, lw=1, linestyle=(0, (4, 2)), label="without the interest")
    )
    for axes in (above, below):
        axes.axvline(-0.5, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_ylim(bottom=0)
    below.set_ylim(top=max(2.0, below.get_ylim()[1]))
    above.text(-0.9, 0.02, "shift", transform=above.get_xaxis_transform(), ha="right", fontsize=8)
    above.set_xlim(table["offset"].min(), table["offset"].max())
    above.set_ylabel("attention moved\nby the interest, %")
    below.set_ylabel("on the newest slates,\ntimes an even spread")
    below.set_xlabel("steps since the interest jumped")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return figure


def _lines(axes: Axes, table: pd.DataFrame, value: str) -> None:
    """A line for each agent with its band, named at its end."""
    labels: dict[str, tuple[float, str]] = {}
    color_of = colors_of(table)
    for agent, rows in table.groupby("agent", sort=False):
        color = color_of[str(agent)]
        axes.fill_between(rows["step"], rows["low"], rows["high"], color=color, alpha=0.15, lw=0)
        axes.plot(rows["step"], rows[value], color=color)
        labels[str(agent)] = (float(rows[value].iloc[-5:].mean()), color)
    axes.set_xlim(table["step"].min(), table["step"].max())
    axes.set_xlabel("requests since the session began")
    label_right(axes, labels)
