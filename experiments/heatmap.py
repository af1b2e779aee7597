"""Heat maps: how much is lost, as a colour, and what is left, as a number in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .figures import STYLE

_CELL, _LABELS, _HEAD = 0.62, 1.7, 0.95  # inches: a cell, the rows' names, title and columns
_MOST = 0.6  # change that has the full colour


@dataclass(frozen=True)
class Panel:
    """One heat map.

    Attributes:
        title: above it.
        rows: names, from the top.
        columns: names.
        change: relative change, a list for each row; the colour.
        value: likewise, the number written besides.
        note: below it.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    change: Sequence[Sequence[float]]
    value: Sequence[Sequence[float]]
    note: str = ""


def heat_maps(panels: Sequence[Panel]) -> Figure:
    """The panels one above the other, with one scale: purple lost, green gained."""
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        height = [len(p.rows) * _CELL * 0.6 + _HEAD for p in panels]
        wide = max(len(p.columns) for p in panels)
        figure = Figure(figsize=(wide * _CELL + _LABELS, sum(height)), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=height)
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            _draw(axes, panel)
    return figure


def _draw(axes: matplotlib.axes.Axes, panel: Panel) -> None:
    change = np.asarray(panel.change)
    axes.imshow(change, cmap="PRGn", vmin=-_MOST, vmax=_MOST, aspect="auto")
    axes.set_title(panel.title, pad=4)
    axes.set_xlabel(panel.note, fontsize=7.5)
    axes.set_yticks(range(len(panel.rows)), list(panel.rows))
    axes.set_xticks(range(len(panel.columns)), [c.replace(":", "\n") for c in panel.columns])
    axes.tick_params(length=0, labelsize=7.5)
    for name in ("left", "bottom"):
        axes.spines[name].set_visible(False)
    for row, values in enumerate(panel.value):
        for column, value in enumerate(values):
            lost = change[row, column]
            ink = "white" if abs(lost) > 0.6 * _MOST else "#222222"
            text = f"{value:.2f}\n{lost:+.0%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=ink)
