"""Drift: small processes, each one class, that are switched on and off one by one."""

from .abrupt import AbruptShift
from .base import Drift
from .gradual import GradualDrift
from .satiation import Satiation
from .session import SessionInterest

DRIFTS: dict[str, type[Drift]] = {
    cls.name: cls for cls in (GradualDrift, AbruptShift, SessionInterest, Satiation)
}

__all__ = ["DRIFTS", "AbruptShift", "Drift", "GradualDrift", "Satiation", "SessionInterest"]
