"""Serving: an exported recommender, without the code that trained it."""

from __future__ import annotations

from .event import Event, Recommendation
from .folder import save
from .items import Items
from .model import ServedModel
from .newcomers import with_newcomers
from .recommender import Recommender

__all__ = [
    "Event",
    "Items",
    "Recommendation",
    "Recommender",
    "ServedModel",
    "save",
    "with_newcomers",
]
