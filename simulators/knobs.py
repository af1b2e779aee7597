"""What the knobs of a domain may be: numbers, in the ranges that their meaning has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

_ABOVE_0 = {
    "dimensions", "gap", "half_life", "hours_per_request", "life", "memory", "most", "period",
    "position", "segments", "topics_per_segment", "unit", "width",
}  # fmt: skip
_SHARES = {"exploration", "following", "position", "returning", "reveal"}
_NUMBERS = {"int", "float"}  # as they are annotated


def check_knobs(cls: type[Any], table: Mapping[str, Any], where: str) -> None:
    """Refuse a table that a dataclass of knobs cannot be made of.

    Args:
        cls: the dataclass; its fields are annotated as in their source, unevaluated.
        table: values by knob.
        where: file and table, for the message.

    Raises:
        ValueError: for a knob that is unknown, missing, no number, or out of its range.
    """
    known = {f.name: f for f in fields(cls)}
    for name in table:
        if name not in known:
            told = ", ".join(sorted(known))
            raise ValueError(f"{where}: unknown knob {name!r}, known are {told}")
    for name, knob in known.items():
        if name in table:
            if knob.type in _NUMBERS:
                _check_number(f"{where}: {name}", name, table[name], knob.type == "int")
        elif knob.default is MISSING and knob.default_factory is MISSING:
            raise ValueError(f"{where}: {name} must be given")


def _check_number(told: str, name: str, value: Any, whole: bool) -> None:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or value != value:
        raise ValueError(f"{told} must be a {'whole ' * whole}number, got {value!r}")
    if name in _ABOVE_0 and not value > 0:
        raise ValueError(f"{told} must be above 0, got {value!r}")
    if name in _SHARES and not 0 <= value <= 1:
        raise ValueError(f"{told} must lie in [0, 1], got {value!r}")
