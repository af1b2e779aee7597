"""Item vectors for the user model from the items' texts, in place of those fitted on a log."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from driftrec.simulators import Catalog, unit
from driftrec.simulators.streams import Floats

from ..kept import cache_folder
from .backbones import load_backbone
from .embeddings import TextEncoder, catalog_texts


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
    encoder = TextEncoder(load_backbone(model), cache=cache or cache_folder() / "texts")
    vectors = encoder(catalog_texts(catalog))
    centred = vectors - vectors.mean(0)
    basis = np.linalg.svd(centred, full_matrices=False)[2][:width]
    return unit(np.ascontiguousarray(centred @ basis.T))
