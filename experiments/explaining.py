"""An explanation as one figure and as text, and the command that writes both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from driftrec.agents.explain import FEATURES, Explanation, explain

from .figures import STYLE
from .files import check_writable, write_atomic, write_text
from .recommend import USER, find_item, load_recommender, read_history, read_time

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of ``FEATURES``; Okabe & Ito (2008)
SHOWN = 15  # events that are drawn
WIDE = 8.0  # inches


def explain_command(
    model: Path, history: Path, item: str, request: str, at: str | None, out: Path
) -> dict[str, Any]:
    """Explain one recommendation and write ``explanation.png`` and ``explanation.txt``.

    Returns:
        ``title``, ``rank``, ``score``, ``baseline``, ``gap``, ``text`` and the ``files``.

    Raises:
        UserError: for a bad history, item or time, or a model that cannot be used.
    """
    when = read_time(at)
    recommender = load_recommender(model)
    recommender.restore(read_history(history, recommender.items))
    item_id = recommender.items.ids[find_item(item, recommender.items)]
    check_writable(out)
    why = explain(recommender, USER, item_id, request, when)
    text, files = as_text(why), [out / "explanation.png", out / "explanation.txt"]
    write_atomic(files[0], lambda path: draw(why).savefig(path))
    write_text(files[1], text + "\n")
    values = {name: getattr(why, name) for name in ("title", "rank", "score", "baseline", "gap")}
    return values | {"text": text, "files": [str(path) for path in files]}


# --- text ---------------------------------------------------------------------------------------


def as_text(why: Explanation) -> str:
    """The explanation in lines: what adds most, where attention moved, the interest in words."""
    lines = [
        f"{why.title}: rank {why.rank}, score {why.score:.3f}",
        f"of a user who was shown nothing {why.baseline:.3f}; what adds and takes most:",
    ]
    for row in strongest(why):
        parts = zip(FEATURES, why.contribution[row], strict=True)
        told = ", ".join(f"{name} {value:+.3f}" for name, value in parts)
        lines.append(f"  {why.contribution[row].sum():+.3f}  {label(why, row)}  ({told})")
    rest = float(why.contribution.sum() - why.contribution[strongest(why)].sum())
    lines.append(f"  {rest:+.3f}  all others; {why.gap:+.4f} is the error of the sum")
    if why.attention is not None and why.unconditioned is not None:
        moved = np.abs(why.attention - why.unconditioned)[:, :, -1].sum(-1).mean(-1) / 2
        for layer, share in enumerate(moved, 1):
            lines.append(f"layer {layer}: the interest moves {share:.1%} of the last attention")
    for words in why.interest:
        topics = ", ".join(name for name, _ in words.topics[:3])
        items = "; ".join(name for name, _ in words.items[:3])
        lines.append(f"interest ({words.name}): {topics}. Nearest: {items}")
    return "\n".join(lines)


def strongest(why: Explanation) -> npt.NDArray[np.int64]:
    """The events that add or take most, in order of time."""
    size = np.abs(why.contribution.sum(1))
    return np.sort(np.argsort(-size, kind="stable")[:SHOWN])


def label(why: Explanation, row: int, length: int = 30) -> str:
    """An event in a few words."""
    if row >= len(why.events):
        return "the request alone"
    title = why.titles[row]
    short = title if len(title) <= length else title[: length - 1] + "…"
    return f"{row + 1}. {short} ({why.events[row].feedback:.2g})"


# --- figure -------------------------------------------------------------------------------------


def draw(why: Explanation) -> Figure:
    """One figure: contributions, each layer's attention without and with the interest, words."""
    with matplotlib.rc_context(STYLE):
        rows = strongest(why)
        layers = 0 if why.attention is None else len(why.attention)
        bars, words = 0.26 * max(len(rows), 3), 0.42 * len(why.interest)
        page = _Page(WIDE, 2.1 + bars + 2.0 * layers + words)
        page.figure.text(
            0.02,
            1 - 0.25 / page.tall,
            f"Why “{_cut(why.title, 60)}” is at rank {why.rank}",
            size=11,
        )
        _draw_contributions(page.row(0.65, bars, 2.9, WIDE - 3.2), why, rows)
        for layer in range(layers):
            top = 2.0 + bars + 2.0 * layer
            _draw_newest(page.row(top, 1.3, 0.6, 3.2), why, layer)
            _draw_map(page.row(top, 1.3, 4.3, 1.5), why.unconditioned, layer, "without interest")
            _draw_map(page.row(top, 1.3, 6.2, 1.5), why.attention, layer, "with it")
        _write_interest(page.row(1.95 + bars + 2.0 * layers, words, 0.16, WIDE - 0.3), why)
        return page.figure


class _Page:
    """A figure on which places are given in inches from the top left corner."""

    def __init__(self, wide: float, tall: float) -> None:
        self.figure, self.wide, self.tall = Figure(figsize=(wide, tall)), wide, tall

    def row(self, top: float, height: float, left: float, width: float) -> Axes:
        """Axes at a place."""
        bottom = self.tall - top - height
        return self.figure.add_axes(
            (left / self.wide, bottom / self.tall, width / self.wide, height / self.tall)
        )


def _draw_contributions(axes: Axes, why: Explanation, rows: npt.NDArray[np.int64]) -> None:
    """A bar for each event, its features stacked to both sides of zero."""
    place = np.arange(len(rows))
    values = why.contribution[rows]  # [n, 4]
    for sign in (1, -1):
        left = np.zeros(len(rows))
        for feature, color in enumerate(COLORS):
            width = np.where(np.sign(values[:, feature]) == sign, values[:, feature], 0)
            name = FEATURES[feature] if sign == 1 else None
            axes.barh(place, width, left=left, color=color, label=name, height=0.7)
            left += width
    axes.plot(values.sum(1), place, "D", color="#222222", ms=4, label="sum")
    axes.axvline(0, color="#222222", lw=0.8)
    axes.set_yticks(place, [label(why, row) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("added to the score (log-odds)")
    axes.set_title(f"What each event (feedback) adds, {why.baseline:.2f} to {why.score:.2f} in all")
    axes.legend(ncols=5, loc="upper right", bbox_to_anchor=(1.02, -0.42 / (0.26 * len(rows) + 0.3)))


def _draw_newest(axes: Axes, why: Explanation, layer: int) -> None:
    """Where the newest request looks in one layer, mean over the heads."""
    assert why.attention is not None and why.unconditioned is not None
    event = np.arange(1, why.attention.shape[-1] + 1)
    before = why.unconditioned[layer, :, -1].mean(0)
    after = why.attention[layer, :, -1].mean(0)
    axes.bar(event, after, color="#D55E00", width=0.7, label="with interest")
    axes.step(event, before, where="mid", color="#222222", lw=1.2, label="without")
    axes.set_title(f"Layer {layer + 1}: attention of the newest request")
    axes.set_ylim(0, 1.4 * max(before.max(), after.max()))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(ncols=2, loc="upper left", borderpad=0.1)
    axes.set_xlabel("event, oldest first")


def _draw_map(axes: Axes, maps: npt.NDArray[np.float32] | None, layer: int, title: str) -> None:
    """All requests' attention in one layer, mean over the heads: a row for each request."""
    assert maps is not None
    size = maps.shape[-1]
    shown = maps[layer].mean(0)
    edge = (0.5, size + 0.5)
    axes.imshow(shown, cmap="cividis", vmin=0, aspect="auto", extent=(*edge, *edge[::-1]))
    axes.grid(False)
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("event looked at")
    axes.set_ylabel("request after", labelpad=1)


def _write_interest(axes: Axes, why: Explanation) -> None:
    """The interest in words, a line of topics and a line of items for each vector."""
    axes.axis("off")
    axes.set_title("The interest in words")
    step = 1 / len(why.interest)
    for row, words in enumerate(why.interest):
        topics = ", ".join(name for name, _ in words.topics[:4])
        items = _cut("; ".join(name for name, _ in words.items[:3]), 104)
        axes.text(0, 1 - row * step, words.name, va="top", weight="bold")
        axes.text(0.16, 1 - row * step, topics, va="top")
        axes.text(0.16, 1 - (row + 0.45) * step, items, va="top", color="#666666", size=8)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
