"""Latent vectors of items and users, fitted on a log of real behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .catalog import Affinity

if TYPE_CHECKING:
    from scipy import sparse

QUALITY_SD = 0.3  # logits, as in the built-in catalogues
Index = npt.NDArray[np.int64]


def fit_affinity(
    user_index: Index,
    item_index: Index,
    value: npt.NDArray[np.float64],
    num_users: int,
    num_items: int,
    latent_size: int = 32,
    seed: int = 0,
) -> Affinity:
    """Item attributes and tastes of users, in one space, from who consumed what.

    With A the [S, N] matrix of summed weights (value / max value), r and c its row and column sums
    and n its total, the D leading singular triplets U S V^T of

        (A - r c^T / n)_ij / sqrt((r_i + mean r) (c_j + mean c))

    give users U S and items V S, each scaled to unit length. Taking out r c^T / n, what activity
    and popularity alone predict, keeps popularity from filling the first component; adding the
    means keeps rare items from filling the next ones.

    Source: correspondence analysis (Greenacre, 1984, "Theory and applications of correspondence
    analysis", ch. 4), with the degrees regularised as in Qin & Rohe (2013, "Regularized spectral
    clustering under the degree-corrected stochastic blockmodel", eq. 2).

    Args:
        user_index: [E] user of each event, in [0, num_users).
        item_index: [E] item of each event, in [0, num_items).
        value: [E] weight of each event, >= 0: a rating, a play count, 1.
        num_users: S.
        num_items: N.
        latent_size: D; the components beyond the rank of the log are 0.
        seed: starts the decomposition, and places items that the log says nothing about.

    Returns:
        Vectors of all N items, and of the users about whom the log says something.

    Raises:
        ValueError: if latent_size is below 1, if a value is negative or not finite, or if no
            value is positive.
    """
    if latent_size < 1:
        raise ValueError(f"latent_size must be at least 1, got {latent_size}")
    if not np.isfinite(value).all() or not (value >= 0).all():
        raise ValueError("value must be finite and >= 0 in every event of the log")
    if not (value > 0).any():
        raise ValueError("value must be positive in some event of the log, got none")
    from scipy import sparse  # here: it would double the time to import the environments

    rng = np.random.default_rng(seed)
    counts = sparse.csr_matrix(
        (value / value.max(), (user_index, item_index)), shape=(num_users, num_items)
    )
    users, items = _principal(counts, min(latent_size, min(counts.shape) - 1), rng)
    pad = ((0, 0), (0, latent_size - items.shape[1]))
    users, items = np.pad(users, pad), np.pad(items, pad)
    blank = np.linalg.norm(items, axis=1) < 1e-12
    items[blank] = rng.standard_normal((int(blank.sum()), latent_size))
    users = users[np.linalg.norm(users, axis=1) > 1e-12]
    if len(users) == 0:
        raise ValueError("the log must hold users who differ in what they take, got none")
    return Affinity(items=_unit(items), users=_unit(users))


def popularity_quality(item_index: Index, num_items: int) -> npt.NDArray[np.float32]:
    """[N] log popularity, with mean 0 and standard deviation 0.3 logits (0 if all are equal)."""
    popularity = np.log1p(np.bincount(item_index, minlength=num_items))
    popularity -= popularity.mean()
    spread = popularity.std()
    return (QUALITY_SD * popularity / (spread if spread > 0 else 1.0)).astype(np.float32)


def _principal(
    counts: sparse.csr_matrix, size: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Users [S, size] and items [N, size] in principal coordinates, strongest first."""
    from scipy import sparse
    from scipy.sparse.linalg import LinearOperator, svds

    row = np.asarray(counts.sum(1)).ravel()  # [S]
    column = np.asarray(counts.sum(0)).ravel()  # [N]
    if size < 1:
        return np.zeros((len(row), 0)), np.zeros((len(column), 0))
    row_scale = 1 / np.sqrt(row + row.mean())
    column_scale = 1 / np.sqrt(column + column.mean())
    scaled = sparse.diags(row_scale) @ counts @ sparse.diags(column_scale)
    left = row_scale * row / np.sqrt(row.sum())  # left right^T is what popularity predicts
    right = column_scale * column / np.sqrt(row.sum())
    # A matrix minus a rank one is never built: it would be dense.
    residual = LinearOperator(
        counts.shape,
        matvec=lambda x: scaled @ x.ravel() - left * (right @ x.ravel()),
        rmatvec=lambda y: scaled.T @ y.ravel() - right * (left @ y.ravel()),
        dtype=np.float64,
    )
    u, s, vt = svds(residual, size, v0=rng.uniform(-1, 1, min(counts.shape)))
    order = np.argsort(-s)
    u, s, v = u[:, order], s[order], vt[order].T
    s = np.where(s > 1e-9 * s[0], s, 0)
    # A singular vector's sign is arbitrary: the item with the largest entry is positive.
    sign = np.sign(v[np.abs(v).argmax(0), np.arange(size)])
    return u * (s * sign), v * (s * sign)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
