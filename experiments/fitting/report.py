"""The report of a fit: what was measured, and where the simulation is off."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..figures import STYLE
from ..files import write_atomic, write_text
from ..statistics import Interval
from .command import FitResult
from .estimate import DriftEstimate
from .fidelity import FEATURES, Distance, Fidelity

_COLORS = {"real": "#0072B2", "simulated": "#D55E00", "shuffled": "#999999"}
_SHOWN = ("topic entropy", "repeat rate", "visit length")


def write_report(folder: Path, result: FitResult) -> None:
    """Writes ``report.md`` and ``fidelity.png`` into ``folder``."""
    write_atomic(folder / "fidelity.png", lambda path: draw(result).savefig(path, dpi=150))
    write_text(folder / "report.md", markdown(result))


def markdown(result: FitResult) -> str:
    """The report as Markdown."""
    kept = "" if result.share == 1 else f" (a uniform sample of {result.share:.1%} of the users)"
    parts = [
        f"# {result.name}: what the log says, and how like it the simulation is",
        f"{result.rows:,} events, {result.users:,} users{kept}, {result.items:,} items. Drift is "
        f"measured on the {result.estimate.users} users with {9 * result.estimate.window} events "
        "or more; intervals are 95 %, from a bootstrap over users.",
        verdict(result.estimate),
        "## Drift",
        _drift_table(result),
        "## The simulation beside held-out users",
        "\n".join(f"- {line}" for line in findings(result.fidelity)),
        _distance_table(result.fidelity),
        "![Real and simulated users](fidelity.png)",
        "Of the held-out users catalogue and tastes know nothing; how interest drifts was measured "
        "on all. `distance`: Wasserstein, in standard deviations of the real users; for interest "
        "and popularity the largest gap of the curves. `real halves`: 97.5 % quantile of the "
        "distance between two halves of the real users. `shuffled`: the real users' distance from "
        "themselves with their events in random order. Users are compared on their last "
        f"{9 * result.estimate.window} events; simulated users choose freely among all items.",
    ]
    return "\n\n".join(parts) + "\n"


def verdict(estimate: DriftEstimate) -> str:
    """What the order of the events is worth, in a sentence or two."""
    share = estimate.visits.at_once
    if not estimate.order_is_evidence:
        return (
            "**The order of this log is no evidence of drift.** Half of the users have "
            f"{share:.0%} or more of their events in one sitting, so their order tells how items "
            "were listed or remembered, not how interest changed. The figures below describe that "
            "order; do not read them as drift. The world's drift is the plain preset's; "
            "the comparison below is of users who drift as the order has it."
        )
    lost = estimate.shuffled[0] - estimate.curve[0].high
    drifts = "Interest drifts" if lost > 0 else "No drift can be told from chance"
    return (
        f"{drifts}: the likeness of neighbouring windows is {estimate.curve[0]}, and "
        f"{estimate.shuffled[0]:.2f} with the events shuffled. Half of the users have at most "
        f"{share:.0%} of their events in one sitting."
    )


def _drift_table(result: FitResult) -> str:
    estimate, calibration = result.estimate, result.calibration
    rows: list[tuple[str, Interval, str]] = [
        ("half-life of the fading interest, events", estimate.half_life, ".0f"),
        ("the same between sittings only, events", estimate.between, ".0f"),
        ("stable share of interest", estimate.stable, ".2f"),
        ("share over within a window", estimate.brief, ".2f"),
        ("share of the fading that jumps", estimate.abrupt, ".2f"),
        ("shift rate, jumps per event", estimate.shift_rate, ".4f"),
        ("satiation: a topic just taken is less likely by", estimate.satiation, ".2f"),
        ("odds of the same topic next, over a shuffled order", estimate.lift, ".2f"),
    ]
    for name, share in estimate.seasons.items():
        if share.low == share.high:
            continue  # the times of the log do not tell its phase
        title = f"share that goes round with the {name} (chance: {estimate.seasons_null[name]:.3f})"
        rows.append((title, share, ".3f"))
    if calibration.knobs.satiation > 0:
        rows.append(("satiation as a knob, logits", calibration.satiation, ".2f"))
    lines = [f"| {name} | {_shown(value, form)} |" for name, value, form in rows]
    return "\n".join(["| | estimate |", "| --- | ---: |", *lines])


def _shown(value: Interval, form: str) -> str:
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"


def findings(fidelity: Fidelity) -> list[str]:
    """Where the simulation is off, plainly."""
    off = [d for d in fidelity.distances if d.off]
    lines = [_finding(d) for d in off] or ["No single respect is further off than chance."]
    close = [d.name for d in fidelity.distances if not d.off]
    if close:
        lines.append(f"As close as real users are to one another: {', '.join(close)}.")
    auc, told = fidelity.auc, fidelity.auc.low > max(fidelity.auc_null, 0.5)
    lines.append(
        f"A classifier on all seven figures {'tells' if told else 'does not tell'} simulated from "
        f"real users: area under the ROC {_shown(auc, '.2f')}, {fidelity.auc_null:.2f} at most "
        "where labels are permuted."
    )
    return lines


def _finding(distance: Distance) -> str:
    side = "more" if distance.simulated > distance.real else "less"
    return (
        f"**Off: {distance.name}**, {side} than real users have ({distance.simulated:.3g} against "
        f"{distance.real:.3g}): distance {_shown(distance.distance, '.2f')}, "
        f"{distance.null:.2f} between halves of the real users."
    )


def _distance_table(fidelity: Fidelity) -> str:
    lines = [
        f"| {d.name} | {d.real:.3f} | {d.simulated:.3f} | {_shown(d.distance, '.2f')} | "
        f"{d.null:.2f} | {d.shuffled:.2f} | {'off' if d.off else ''} |"
        for d in fidelity.distances
    ]
    head = "| | real | simulated | distance | real halves | shuffled | |"
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: | --- |", *lines])


def draw(result: FitResult) -> Figure:
    """Interest over lags, popularity, and three features of real and simulated users."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 5.6), layout="constrained")
        axes = figure.subplots(2, 3).ravel()
        _draw_interest(axes[0], result)
        for name in ("real", "simulated"):
            curve = result.fidelity.popularity[name]
            ranks = np.unique(np.geomspace(1, result.items, 50).astype(int))
            axes[1].plot(ranks, curve, color=_COLORS[name], label=name)
        axes[1].set(xscale="log", title="Events of the commonest items", xlabel="items")
        axes[1].set_ylabel("share of events")
        for axis, name in zip(axes[2:], (*_SHOWN, "popularity of items"), strict=True):
            _draw_feature(axis, result.fidelity, name)
        axes[0].legend(frameon=False)
    return figure


def _draw_interest(axis: Axes, result: FitResult) -> None:
    window = result.estimate.window
    lags = np.arange(1, 9) * window
    for name, curve in result.fidelity.curves.items():
        axis.plot(lags, curve, "o-", ms=3, color=_COLORS[name], label=name)
    axis.set(title="Likeness of interest", xlabel="events apart", ylim=(0, 1.15))
    axis.set_ylabel("S(lag) / S(0)")


def _draw_feature(axis: Axes, fidelity: Fidelity, name: str) -> None:
    k = FEATURES.index(name)
    values = {side: fidelity.features[side][:, k] for side in ("real", "simulated")}
    both = np.concatenate(list(values.values()))
    bins = np.linspace(both.min(), both.max() + 1e-9, 25).tolist()
    for side, value in values.items():
        weights = np.full(len(value), 1 / len(value))
        axis.hist(value, bins, weights=weights, color=_COLORS[side], alpha=0.55, label=side)
    label = {"visit length": "log of events a visit", "popularity of items": "mean log share"}
    axis.set(title=name.capitalize(), xlabel=label.get(name, ""))
    axis.set_ylabel("share of users")
