"""The logistic function, and means over logistic noise."""

from __future__ import annotations

import numpy as np

from .streams import Floats


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), for arrays of any shape."""
    odds: Floats = np.exp(-x)
    return np.reciprocal(odds + np.float32(1))


def logit(share: float) -> np.float32:
    """The x with sigmoid(x) = ``share``, in (0, 1)."""
    return np.float32(np.log(share / (1 - share)))


def _quadrature(size: int) -> tuple[Floats, Floats]:
    """Quantiles and weights that average a function of a quantile, dense near 0 and 1.

    Gauss-Legendre nodes s under q = 3 s^2 - 2 s^3: a logistic variable is steep at both ends.
    """
    node, weight = np.polynomial.legendre.leggauss(size)
    s = (node + 1) / 2
    return (3 * s**2 - 2 * s**3).astype(np.float32), (3 * weight * s * (1 - s)).astype(np.float32)


QUANTILES, WEIGHTS = _quadrature(8)
