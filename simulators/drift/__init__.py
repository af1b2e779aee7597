"""Drift: small processes, each one class, that are switched on and off one by one."""

from .abrupt import AbruptShift
from .base import Drift
from .gradual import GradualDrift
from .influence import Influence
from .lifecycle import ItemLifecycle
from .repeat import RepeatConsumption
from .request import RequestChain
from .satiation import Satiation
from .seasonal import SeasonalDrift
from .session import SessionInterest
from .trend import TrendShock

# In the order in which they act: first what moves the taste, then what is asked, then utilities.
DRIFTS: dict[str, type[Drift]] = {
    cls.name: cls
    for cls in (
        GradualDrift,
        Influence,
        AbruptShift,
        SeasonalDrift,
        SessionInterest,
        RequestChain,
        Satiation,
        RepeatConsumption,
        TrendShock,
        ItemLifecycle,
    )
}

__all__ = [
    "DRIFTS",
    "AbruptShift",
    "Drift",
    "GradualDrift",
    "Influence",
    "ItemLifecycle",
    "RepeatConsumption",
    "RequestChain",
    "Satiation",
    "SeasonalDrift",
    "SessionInterest",
    "TrendShock",
]
