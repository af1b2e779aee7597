"""Figures of a sweep over strengths of drift, as functions of data frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import matplotlib.lines
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from .figures import KIND_COLORS, STYLE, WITH_LABELS, colors_of

_Line = tuple[str, str, Any]  # colour, marker, dashes
_COLUMNS = 2  # panels side by side
_PANEL = 1.9  # inches
_LEAST = 0.05  # an axis of advantages reaches so far: less would make noise look large
_LINES = {"flagship": (KIND_COLORS["learned"][0], "D"), "bandit": (KIND_COLORS["adaptive"][0], "o")}
_DASHES = {"static": (0, (4, 2)), "bound": (0, (1, 1))}


def advantage(table: pd.DataFrame, title: str = "") -> Figure:
    """What following the interest is worth against strength of drift, a panel an environment.

    Args:
        table: columns env, strength, role ("flagship" or "bandit"), agent, advantage, low, high; as
            ``sweep_results.advantage_table``.
        title: of the figure.
    """
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(list(table["env"].unique()), title, share_y=False)
        aside = 0.012 * table["strength"].max()  # intervals stand beside each other
        for env, axes in panels.items():
            rows = table[table["env"] == env]
            axes.set_title(str(env).removeprefix("driftrec/"))
            axes.axhline(0, color="#666666", linewidth=1.2)
            for (role, (color, marker)), move in zip(_LINES.items(), (-aside, aside), strict=True):
                line = rows[rows["role"] == role].sort_values("strength")
                error = (line["advantage"] - line["low"], line["high"] - line["advantage"])
                axes.errorbar(
                    line["strength"] + move, line["advantage"], error, color=color,
                    marker=marker, markersize=4, elinewidth=1.2, capsize=2.5,
                )  # fmt: skip
            bottom, top = axes.get_ylim()
            axes.set_ylim(min(bottom, -_LEAST), max(top, _LEAST))
            strengths = sorted(rows["strength"].unique())
            axes.set_xticks(strengths)
            if len(strengths) == 1:  # or two points that stand side by side would fill the width
                axes.set_xlim(strengths[0] - 0.2, strengths[0] + 0.2)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_major_formatter(FuncFormatter(_per_cent))
        _name_axes(figure, panels, "drift (1: the preset's)", "advantage over a static profile")
        agent = table.loc[table["role"] == "flagship", "agent"].iloc[0]
        names = {"flagship": str(agent), "bandit": "best bandit"}
        _legend(figure, {names[role]: (*line, "-") for role, line in _LINES.items()})
        return figure


def profiles(table: pd.DataFrame, title: str = "") -> Figure:
    """Share of runs above each score, a panel a strength of drift.

    Args:
        table: columns strength, agent, kind, threshold, share, low, high; as
            ``sweep_results.profile_table``.
        title: of the figure.
    """
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(sorted(table["strength"].unique()), title, share_y=True)
        handles: dict[str, _Line] = {}
        color_of = colors_of(table)
        for agent, rows in table.groupby("agent", sort=False):
            color = color_of[str(agent)]
            handles[str(agent)] = (color, "", _DASHES.get(str(rows["kind"].iloc[0]), "-"))
            for strength, axes in panels.items():
                line = rows[rows["strength"] == strength]
                axes.fill_between(
                    line["threshold"], line["low"], line["high"], color=color, alpha=0.15, lw=0
                )
                axes.plot(
                    line["threshold"], line["share"], color=color, linestyle=handles[str(agent)][2]
                )
        for strength, axes in panels.items():
            axes.set_title(f"drift {strength:g}")
            axes.set_xlim(0, table["threshold"].max())
            axes.set_ylim(0, 1)
        _name_axes(figure, panels, "score / the oracle's", "share of users and seeds above it")
        _legend(figure, handles)
        return figure


def _panels(names: list[Any], title: str, *, share_y: bool) -> tuple[Figure, dict[Any, Axes]]:
    """A figure with an axes for each name."""
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(WITH_LABELS, 0.9 + _PANEL * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=share_y, squeeze=False).ravel()
    if title:
        figure.suptitle(title, fontsize=9.5, x=0.02, ha="left")
    for empty in axes[len(names) :]:
        empty.set_visible(False)
    return figure, dict(zip(names, axes, strict=False))


def _name_axes(figure: Figure, panels: Mapping[Any, Axes], x: str, y: str) -> None:
    """Name the horizontal axis below each column, the vertical one once."""
    for axes in list(panels.values())[-_COLUMNS:]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(x)
    figure.supylabel(y, fontsize=9)


def _per_cent(value: float, _: Any) -> str:
    return f"{100 * value:+.3g} %" if abs(value) > 1e-9 else "0 %"


def _legend(figure: Figure, lines: Mapping[str, _Line]) -> None:
    handles = [
        matplotlib.lines.Line2D(
            [], [], color=color, marker=marker, markersize=4, linestyle=dashes, label=name
        )
        for name, (color, marker, dashes) in lines.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
