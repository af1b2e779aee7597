"""What a world must show before it deserves training, judged on scores alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Scores = Mapping[str, npt.NDArray[np.float64]]

# Whoever knows more earns more. Each of these is the best of its kind that was found.
LADDER = ("random", "constant", "static", "adaptive", "filter", "oracle")
LARGEST_CONSTANT = 0.60  # of the oracle
LARGEST_STILL_GAP = 0.05  # between static and adaptive where nothing drifts, of adaptive
LEAST_LEAD = 1.15  # of the filter over the best bandit: the room that learning needs


@dataclass(frozen=True)
class Check:
    """One criterion and whether it holds.

    Attributes:
        name: what must hold.
        value: what was measured.
        bound: what it is compared with.
        passed: never true of a number that is not finite.
        detail: the measurement in words.
    """

    name: str
    value: float
    bound: float
    passed: bool
    detail: str


def judge(
    scores: Scores, still: Scores, far_sighted: npt.NDArray[np.float64] | None = None
) -> list[Check]:
    """Every criterion, for scores on the same users.

    Args:
        scores: [S] mean score per seed of each rung of ``LADDER``.
        still: [S] the same of "static" and "adaptive" in the world without drift.
        far_sighted: [S] of an oracle that looks ahead, where the world promises that this pays.

    Raises:
        ValueError: where a rung is missing, shapes differ, or there are fewer than two seeds.
    """
    _check(scores, LADDER)
    _check(still, ("static", "adaptive"))
    checks = [_rises(scores, lower, upper) for lower, upper in pairwise(LADDER)]
    mean = {name: float(np.mean(scores[name])) for name in LADDER}
    share = _ratio(mean["constant"], mean["oracle"])
    checks.append(
        Check(
            "no constant slate comes near the oracle",
            share,
            LARGEST_CONSTANT,
            share <= LARGEST_CONSTANT,
            f"best constant / oracle = {share:.2f}, at most {LARGEST_CONSTANT:.2f}",
        )
    )
    adaptive, static = float(np.mean(still["adaptive"])), float(np.mean(still["static"]))
    gap = abs(_ratio(adaptive - static, adaptive))
    checks.append(
        Check(
            "without drift a static profile is as good",
            gap,
            LARGEST_STILL_GAP,
            gap < LARGEST_STILL_GAP,
            f"|adaptive - static| / adaptive = {gap:.3f}, below {LARGEST_STILL_GAP:.2f}",
        )
    )
    lead = _ratio(mean["filter"], mean["adaptive"])
    checks.append(
        Check(
            "there is room to learn",
            lead,
            LEAST_LEAD,
            lead >= LEAST_LEAD,
            f"filter / best bandit = {lead:.2f}, at least {LEAST_LEAD:.2f}",
        )
    )
    if far_sighted is not None:
        checks.append(_rises({**scores, "far-sighted": far_sighted}, "oracle", "far-sighted"))
    return checks


def paired_gap(
    upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Mean of the differences over seeds [S], and its standard error."""
    gap = np.asarray(upper, np.float64) - np.asarray(lower, np.float64)
    return float(gap.mean()), float(gap.std(ddof=1) / np.sqrt(len(gap)))


def _rises(scores: Scores, lower: str, upper: str) -> Check:
    gap, error = paired_gap(scores[upper], scores[lower])
    passed = bool(gap > 0 and gap > 2 * error)
    detail = f"{gap:+.4f}, standard error {error:.4f}"
    return Check(f"{lower} < {upper}", gap, 2 * error, passed, detail)


def _ratio(part: float, whole: float) -> float:
    """NaN where the whole is not positive: no criterion holds of that."""
    return part / whole if whole > 0 else float("nan")


def _check(scores: Scores, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in scores:
            raise ValueError(f"scores must hold {name!r}, got {', '.join(scores)}")
    shapes = {np.shape(scores[name]) for name in names}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1 or next(iter(shapes))[0] < 2:
        raise ValueError(f"scores must be of the same seeds, two or more, got shapes {shapes}")
