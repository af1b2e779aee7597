"""Item vectors for the user model from what items say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from driftrec.simulators import Catalog, unit
from driftrec.simulators.streams import Floats

from ..cache import cache_folder
from .backbones import load_backbone
from .embeddings import TextEncoder, catalog_texts
from .fusion import Fusion, Modalities


def text_features(
    catalog: Catalog, model: str = "minilm", width: int = 64, cache: Path | None = None
) -> Floats:
    """[N, F] unit rows: the first ``width`` principal components of the texts' vectors.

    Args:
        catalog: the items; title, description and topics are read.
        model: as ``load_backbone`` takes it.
        width: F, at most N and the model's own.
        cache: folder in which vectors are kept; ``cache_folder()`` if None.

    Raises:
        ValueError: for an unknown model, or a width below 1.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    vectors = _encoder(model, cache)(catalog_texts(catalog))
    centred = vectors - vectors.mean(0)
    basis = np.linalg.svd(centred, full_matrices=False)[2][:width]
    return unit(np.ascontiguousarray(centred @ basis.T))


def fused_features(
    catalog: Catalog, target: Floats, model: str = "minilm", cache: Path | None = None
) -> Callable[[Catalog], Floats]:
    """Text and topics as behaviour reads them: a projection onto the vectors of items with a log.

    What a text is about and what pleases the same users are not the same: of the differences
    between texts the projection keeps those that told in the log. It gives items that were never
    met vectors in the same space.

    Args:
        catalog: N items; title, description and topic shares are read.
        target: [N, F] their vectors, fitted on a log, see ``driftrec.agents.features``.
        model: as ``load_backbone`` takes it.
        cache: folder in which vectors are kept; ``cache_folder()`` if None.

    Returns:
        From a catalogue, the same or another, to unit rows [N, F]. Topics count by their names;
        those that the first catalogue does not have count for nothing.

    Raises:
        ValueError: for an unknown model, or targets of another number.
    """
    encoder, names = _encoder(model, cache), catalog.topic_names

    def read(items: Catalog) -> Modalities:
        shares = np.zeros((len(items), len(names)), np.float32)
        for column, name in enumerate(items.topic_names):
            if name in names:
                shares[:, names.index(name)] = items.topics[:, column]
        return Modalities({"text": encoder(catalog_texts(items)), "topics": unit(shares)})

    fusion = Fusion.fit(read(catalog), target)
    return lambda items: fusion(read(items))


def _encoder(model: str, cache: Path | None) -> TextEncoder:
    return TextEncoder(load_backbone(model), cache=cache or cache_folder() / "texts")
