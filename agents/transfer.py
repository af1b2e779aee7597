"""A trained network for another catalogue: what it learned of users, with other items."""

from __future__ import annotations

from .network import Network

OF_ITEMS = (
    "features",
    "average",
    "log_worth",
    "item_own",
    "item_bias",
    "interest.own",
    "interest.occasion.born",
    "head.kinds",
)
"""Tensors with a row per item; all others say how users are read."""


def transfer(source: Network, target: Network) -> None:
    """Gives ``target`` all that ``source`` learned but what it learned of single items.

    Items of the target stand where a new network begins: at their public vectors, with the worth
    that is known of them. So they are recommendable at once, without a log of theirs.

    Args:
        source: trained, on any catalogue whose vectors lie in the same space and whose users make
            the same requests.
        target: a new network of the same shape on another catalogue; it is overwritten.

    Raises:
        ValueError: where the two differ in class or shape.
    """
    if type(source) is not type(target):
        raise ValueError(
            f"target must be a {type(source).__name__} as source is, got {type(target).__name__}"
        )
    own = target.state_dict()
    learned = {**source.state_dict(), **{name: own[name] for name in OF_ITEMS if name in own}}
    if set(learned) != set(own):
        raise ValueError(f"target must have the parts of source, got {set(own) ^ set(learned)}")
    for name, part in own.items():
        if part.shape != learned[name].shape:
            raise ValueError(
                f"target must have the shape of source, {name} is {tuple(part.shape)} "
                f"in place of {tuple(learned[name].shape)}"
            )
    target.load_state_dict(learned)
