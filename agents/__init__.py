"""The recommenders; ``make`` builds one by its name. Importing this imports no torch."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any

from .agent import Agent, AgentConfig, State
from .platform import Platform

AGENTS: dict[str, str] = {
    "random": "static:Random",
    "popularity": "static:Popularity",
    "quality-first": "static:QualityFirst",
    "single-topic": "static:SingleTopic",
    "item-loop": "static:ItemLoop",
    "static-interest": "static:StaticInterest",
    "moving-average": "adaptive:MovingAverageInterest",
    "discounted-linucb": "linear:DiscountedLinUCB",
    "sliding-linucb": "linear:SlidingWindowLinUCB",
    "discounted-thompson": "linear:DiscountedThompson",
    "bayes-filter": "filter:BayesFilter",
    "oracle": "bounds:Oracle",
}
"""Every agent by its name: module of this package and class, imported when it is made."""


def agent_class(name: str) -> type[Agent]:
    """The class of an agent.

    Raises:
        ValueError: for an unknown name, with the known ones.
    """
    if name not in AGENTS:
        raise ValueError(f"agent must be one of {', '.join(AGENTS)}, got {name!r}")
    module, _, attribute = AGENTS[name].partition(":")
    cls: type[Agent] = getattr(import_module(f".{module}", __name__), attribute)
    return cls


def make(name: str, env: Any, **config: Any) -> Agent:
    """An agent by its name, for an environment.

    Args:
        name: a key of ``AGENTS``.
        env: single, vector, wrapped, or an SB3 ``VecEnv``.
        config: options of the agent, see its ``Config``.

    Raises:
        ValueError: for an unknown name or option, with the known ones, or a value out of range.
    """
    cls = agent_class(name)
    known = {field.name for field in fields(cls.Config)}
    for option in config:
        if option not in known:
            raise ValueError(
                f"{name} has no option {option!r}, known are {', '.join(sorted(known))}"
            )
    return cls(env, cls.Config(**config))


__all__ = ["AGENTS", "Agent", "AgentConfig", "Platform", "State", "agent_class", "make"]
