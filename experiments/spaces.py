"""What is searched of an agent, and how Optuna is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from driftrec.agents import AGENTS, agent_class

from .errors import UserError


def search_space(agent: str, algo: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is searched of an agent, and the values that it has untuned.

    Raises:
        UserError: for an unknown agent or algorithm, or one that declares nothing to search.
    """
    if agent in AGENTS:
        cls = agent_class(agent)
        space, values = dict(cls.search), asdict(cls.Config())
        if not space:
            raise UserError(f"{agent} has nothing to tune")
    else:
        space, values = _of_learner(agent, algo)
    return space, {name: values[name] for name in space}


def left_to_search(space: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched beside options that are given.

    With ``trial=True`` that is not what the trial among users finds (``agents.trial``): a
    configuration would practise by itself for something that its practice then overrules.
    """
    if given.get("trial"):
        from driftrec.agents.learners import TRIED

        given = {**given, **dict.fromkeys(TRIED)}
    return {name: part for name, part in space.items() if name not in given}


def _of_learner(agent: str, algo: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from driftrec.agents.learners import ALGORITHMS, NETWORKS, SEARCH, default_options

    if agent not in NETWORKS:
        raise UserError(f"agent must be one of {', '.join((*AGENTS, *NETWORKS))}, got {agent!r}")
    if algo not in ALGORITHMS:
        raise UserError(f"algo must be one of {', '.join(ALGORITHMS)}, got {algo!r}")
    return {**ALGORITHMS[algo].search, **SEARCH}, default_options(agent, algo)


def suggest(trial: Any, name: str, part: Any) -> Any:
    """The value that a trial of Optuna gives to an option."""
    from driftrec.agents.search import Choice

    if isinstance(part, Choice):
        return trial.suggest_categorical(name, part.values)
    if part.whole:
        return trial.suggest_int(name, int(part.low), int(part.high), log=part.log)
    return trial.suggest_float(name, part.low, part.high, log=part.log)
