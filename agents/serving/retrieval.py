"""The k items that score highest, exactly or by way of nearest neighbours."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..output import Output

LARGE = 50_000  # items from which nearest neighbours are worth their index
_WEIGHT = 8.0  # w: about the length of an interest vector, so that cells weigh bias as scores do
_DATED = 3  # times as many neighbours where some are lifted for being new
SEARCHES = ("auto", "exact", "faiss")

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


class Search(Protocol):
    """Finds items by what a network says at one request of one user."""

    def __call__(self, output: Output, count: int, more: int = 0) -> Found:
        """[k] items and their scores, best first; of equal scores the item that comes first.

        Where it scores them anyway it gives so many ``more``.
        """


def exact(output: Output, count: int, more: int = 0) -> Found:
    """Scores every item."""
    return _best(np.arange(len(output.bias)), output.scores[0, 0].float().numpy(), count + more)


def _best(items: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], count: int) -> Found:
    """The ``count`` best of ``items``, which ascend."""
    if count < len(scores):
        edge = np.partition(scores, len(scores) - count)[len(scores) - count]
        kept = np.flatnonzero(scores >= edge)  # all that tie with the last
        items, scores = items[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:count]
    return items[order], scores[order]


class Nearest:
    """Searches the neighbours of each interest vector, unites them and scores them exactly.

    With e'_j = [e_j, bias_j / w] and q'_m = [q_m, w] the inner product <q'_m, e'_j> + weight_m is
    one of the M terms of which the score is the log-sum-exp, and

        max_m <= score - lift <= max_m + log M,

    so an item of the best k is among the best of some vector where nothing lifts others above it.
    What users know is looked at anyway; what newness adds is in no index, so where items come out
    at some hour more neighbours are asked for. Items beyond the neighbours found can only be
    missed, never wrongly ranked.

    Args:
        index: of ``build_index``, or read from a file.
        breadth: neighbours asked for by each vector, as a multiple of k.
        least: neighbours asked for at least.
    """

    def __init__(self, index: Any, breadth: int = 8, least: int = 200) -> None:
        self.index, self.breadth, self.least = index, breadth, least

    def __call__(self, output: Output, count: int, more: int = 0) -> Found:
        """As ``Search``; exact where so many are asked for that the index does not pay."""
        wide = max(self.least, self.breadth * count)
        if output.law is not None and output.law.dated:
            wide *= _DATED
        if 8 * wide > len(output.bias):
            return exact(output, count, more)
        query = self.vectors(output).float()
        query = torch.cat((query, torch.full((len(query), 1), _WEIGHT)), 1)
        _, near = self.index.search(query.numpy(), wide)
        lately = output.interest.occasion.lately.numpy().ravel()  # users may come back to it
        found = np.concatenate((near.ravel(), lately))
        items = np.unique(found[found >= 0])
        if len(items) < count:
            return exact(output, count, more)
        scores = output.scores_of(torch.as_tensor(items)[None, None])[0, 0]
        return _best(items, scores.float().numpy(), count + more)

    def vectors(self, output: Output) -> Tensor:
        """[M + 1, F] what is searched for: the interest vectors, and their mean by weight.

        An item that pleases all of them a little is near their mean, and may be near none.
        """
        query, weight = output.query[0, 0], output.weight[0, 0]
        return torch.cat((query, weight.softmax(0)[None] @ query))


def build_index(embedding: Tensor, bias: Tensor, probes: int = 128, seed: int = 0) -> Any:
    """An inverted file of [e_j, bias_j / w]: items in cells, of which a search reads a few.

    Source: Sivic & Zisserman (2003), "Video Google", for the inverted file; Douze et al. (2024),
    "The Faiss library".

    Args:
        embedding: [N, F] item vectors.
        bias: [N] of each item's score.
        probes: cells that a search reads.
        seed: of the clustering.

    Raises:
        ValueError: where faiss is not installed.
    """
    faiss = import_faiss()
    vectors = torch.cat((embedding, bias[:, None] / _WEIGHT), 1).float().contiguous().numpy()
    cells = int(np.clip(2 ** round(np.log2(4 * len(vectors) ** 0.5)), 1, len(vectors) // 40 + 1))
    # Cells are near in distance: by inner product the longest centres would take nearly all items.
    centres = faiss.IndexFlatL2(vectors.shape[1])
    index = faiss.IndexIVFFlat(centres, vectors.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = seed + 1, 8, 48
    index.train(vectors)
    index.add(vectors)
    index.nprobe = min(probes, cells)
    return index


def import_faiss() -> Any:
    """The library, on one thread.

    Raises:
        ValueError: where it is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise ValueError(
            "search must be 'exact' where faiss is not installed: pip install 'driftrec[serving]'"
        ) from None
    faiss.omp_set_num_threads(1)
    return faiss


def has_faiss() -> bool:
    """Whether faiss is installed."""
    try:
        import_faiss()
    except ValueError:
        return False
    return True
