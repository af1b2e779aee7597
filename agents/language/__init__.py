"""The language model: text in, interest-conditioned attention in a pretrained model, items out.

Names are imported when they are first used: torch and transformers take seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        Recommendation,
        TextCatalog,
        UserInterest,
        dynamic_attention,
        dynamic_recommend,
        user_interest,
    )
    from .backbones import Backbone, fine_tuning, load_backbone
    from .books import Book, Books, load_books
    from .bridge import Bridge
    from .embeddings import TextEncoder, catalog_texts, item_text
    from .features import fused_features, text_features
    from .fusion import Fusion, Modalities, held_out_likeness
    from .maps import LayerAttention, attention_maps
    from .recommender import Event, TextConfig, TextRecommender

_HOME = {
    "api": (
        "Recommendation",
        "TextCatalog",
        "UserInterest",
        "dynamic_attention",
        "dynamic_recommend",
        "user_interest",
    ),
    "backbones": ("Backbone", "fine_tuning", "load_backbone"),
    "books": ("Book", "Books", "load_books"),
    "bridge": ("Bridge",),
    "embeddings": ("TextEncoder", "catalog_texts", "item_text"),
    "features": ("fused_features", "text_features"),
    "fusion": ("Fusion", "Modalities", "held_out_likeness"),
    "maps": ("LayerAttention", "attention_maps"),
    "recommender": ("Event", "TextConfig", "TextRecommender"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE[name]}", __name__), name)


__all__ = [
    "Backbone",
    "Book",
    "Books",
    "Bridge",
    "Event",
    "Fusion",
    "LayerAttention",
    "Modalities",
    "Recommendation",
    "TextCatalog",
    "TextConfig",
    "TextEncoder",
    "TextRecommender",
    "UserInterest",
    "attention_maps",
    "catalog_texts",
    "dynamic_attention",
    "dynamic_recommend",
    "fine_tuning",
    "fused_features",
    "held_out_likeness",
    "item_text",
    "load_backbone",
    "load_books",
    "text_features",
    "user_interest",
]
