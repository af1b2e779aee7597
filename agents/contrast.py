"""Events, which say what was taken and not what else was shown, as choices among items drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .logfit import Behaviour


def last_choices(
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    grade: npt.NDArray[np.float64],
    hours: npt.NDArray[np.float64],
    *,
    num_items: int,
    history: int,
    slots: int,
    generator: np.random.Generator,
) -> Behaviour:
    """The last H events of each user, each in a random slot of a slate of items drawn alike.

    One row a user, however much they did: so that what one of them adds is bounded. The items
    beside an event are drawn from the whole catalogue, which tells nothing about anyone.

    Args:
        user: [E] any numbers.
        item: [E] in [0, N).
        grade: [E] in [0, 1].
        hours: [E] when.
        num_items: N.
        history: H.
        slots: K, at least 2.
        generator: of the items beside, and of the slots.

    Raises:
        ValueError: if there is no event, or only one slot.
    """
    if len(user) == 0 or slots < 2:
        raise ValueError(f"a choice needs events and 2 slots, got {len(user)} and {slots}")
    order = np.lexsort((hours, user))
    user, item, grade = user[order], item[order], grade[order]
    first = np.flatnonzero(np.diff(user, prepend=user[0] - 1))
    end = np.append(first[1:], len(user))
    place = end[:, None] + np.arange(-history, 0)  # [U, H] in the events
    there = place >= first[:, None]
    place = np.where(there, place, 0)
    slates = generator.integers(num_items, size=(*place.shape, slots)).astype(np.int32)
    feedback = np.zeros(slates.shape, np.float32)
    slot = generator.integers(slots, size=(*place.shape, 1))
    # An item drawn beside itself is moved on by one: it cannot be passed over and taken at once.
    slates = np.where(slates == item[place][..., None], (slates + 1) % num_items, slates)
    np.put_along_axis(slates, slot, item[place].astype(np.int32)[..., None], 2)
    np.put_along_axis(feedback, slot, grade[place].astype(np.float32)[..., None], 2)
    slates[~there], feedback[~there] = -1, 0
    return Behaviour(slates, feedback, "drawn")
