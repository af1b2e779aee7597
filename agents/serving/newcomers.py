"""Items that were never met, among those that a served model knows: recommended at once."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import one_hot

from driftrec.simulators import Catalog
from driftrec.simulators.streams import Floats

from .event import shown
from .items import Items
from .model import ServedModel, build, describe


def with_newcomers(model: ServedModel, catalog: Catalog, vectors: Floats) -> ServedModel:
    """The model with more items, of which there is no log; those that it knows stay as they are.

    Nothing is trained. A new item stands at its vector, with the popularity and the worth of the
    average item, and with nothing of its own.

    Args:
        model: that is served; it is left as it is.
        catalog: n new items.
        vectors: [n, F] where they lie among the model's own, ``model.network.features``; see
            ``driftrec.agents.language.fused_features``.

    Raises:
        ValueError: for an id that the model knows already, or vectors of another shape.
    """
    weights = dict(model.network.state_dict())
    width = weights["features"].shape[1]
    if vectors.shape != (len(catalog), width):
        raise ValueError(f"vectors must be [{len(catalog)}, {width}], got {vectors.shape}")
    known = set(model.items.ids)
    for name in catalog.ids:
        if name in known:
            raise ValueError(f"catalog must hold new items alone, got {shown(name)}")
    new = torch.as_tensor(vectors, dtype=weights["features"].dtype)
    none, one = torch.zeros_like(new), new.new_ones(len(new))
    rows = {
        "features": new,
        "item_own": none,
        "interest.own": none,
        "average": weights["average"].mean() * one,
        "item_bias": weights["item_bias"].mean() * one,
        "log_worth": weights["log_worth"].mean() * one,
        "interest.occasion.born": -one,  # not by the week
    }
    if "head.kinds" in weights:
        rows["head.kinds"] = one_hot(new.argmax(1), width).to(new.dtype)
    weights |= {name: torch.cat((weights[name], part)) for name, part in rows.items()}
    items = _joined(model.items, catalog)
    return ServedModel(build(describe(model.network), weights), model.slots, items)


def _joined(items: Items, catalog: Catalog) -> Items:
    unmet = [name for name in catalog.topic_names if name not in items.topic_names]
    names = (*items.topic_names, *unmet)
    place = np.array([names.index(name) for name in catalog.topic_names], np.int32)
    return Items(
        (*items.ids, *catalog.ids),
        (*items.title, *catalog.title),
        np.concatenate((items.topic, place[catalog.main_topic])),
        names,
        items.requests,
    )
