"""What a service is told and what it answers, and the checks of both."""

from __future__ import annotations

import datetime
import math
import numbers
from dataclasses import dataclass
from typing import Any

NAME_LENGTH = 256  # characters of a user or an item id
TEXT_LENGTH = 10_000  # characters of a request


@dataclass(frozen=True)
class Event:
    """One item shown to a user and what came of it.

    Attributes:
        user: id of the user.
        item: id of the item, as in the catalogue.
        feedback: graded, in [0, 1]: 0 ignored, 1 consumed to the end.
        time: local time of the recommendation that showed it; None where it is not known.
        request: what the user had asked for, in words.

    Raises:
        ValueError: naming the argument, what came and what was expected.
    """

    user: str
    item: str
    feedback: float
    time: datetime.datetime | None = None
    request: str = ""

    def __post_init__(self) -> None:
        check_text("user", self.user, NAME_LENGTH)
        check_text("item", self.item, NAME_LENGTH)
        check_fraction("feedback", self.feedback)
        check_time("time", self.time)
        check_text("request", self.request, TEXT_LENGTH, empty=True)


@dataclass(frozen=True)
class Recommendation:
    """One line of an answer; ``score`` is a log-odds, larger is better."""

    rank: int
    item_id: str
    title: str
    score: float


def shown(value: Any, limit: int = 40) -> str:
    """A value for an error message, never the whole of a large one."""
    if isinstance(value, str) and len(value) > limit:
        return f"{value[:limit]!r}... ({len(value):,} characters)"
    if isinstance(value, int) and value.bit_length() > 64:  # Python refuses to spell huge ones
        return f"a number of {value.bit_length():,} bits"
    if isinstance(value, str | int | float | None):
        return repr(value)
    return f"a {type(value).__name__}"


def check_event(value: Any) -> None:
    """Refuses what is no event."""
    if not isinstance(value, Event):
        raise ValueError(f"event must be an Event, got {shown(value)}")


def check_text(name: str, value: Any, limit: int, empty: bool = False) -> None:
    """Refuses what is no string of at most ``limit`` characters."""
    least = 0 if empty else 1
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {shown(value)}")
    if not least <= len(value) <= limit:
        raise ValueError(f"{name} must have {least} to {limit:,} characters, got {shown(value)}")


def check_fraction(name: str, value: Any) -> None:
    """Refuses what is no number in [0, 1]; NaN and bool are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} must be a number in [0, 1], got {shown(value)}")
    if not 0 <= value <= 1:  # type: ignore[operator]  # NaN fails as well
        raise ValueError(f"{name} must be in [0, 1], got {shown(value)}")


def check_time(name: str, value: Any) -> None:
    """Refuses what is neither a ``datetime`` nor None, such as pandas' NaT, which poses as one."""
    if value is not None and not (isinstance(value, datetime.datetime) and value == value):
        raise ValueError(f"{name} must be a datetime.datetime or None, got {shown(value)}")


def check_count(value: Any, most: int) -> None:
    """Refuses what is no whole number in 1 .. N."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"k must be a whole number, got {shown(value)}")
    if not 1 <= int(value) <= most:
        raise ValueError(
            f"k must be in [1, {most}] (items of the catalogue less those excluded), "
            f"got {shown(value)}"
        )


def time_features(when: datetime.datetime | None) -> tuple[float, float, float, float]:
    """Sine and cosine of the hour and of the hour of the week; zeros where it is not known."""
    if when is None:
        return 0.0, 0.0, 0.0, 0.0
    hour = when.hour + when.minute / 60
    day, week = 2 * math.pi * hour / 24, 2 * math.pi * (24 * when.weekday() + hour) / 168
    return math.sin(day), math.cos(day), math.sin(week), math.cos(week)
