"""Tuned options of an agent, as ``driftrec tune`` leaves them for the other commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import read_json
from .presets import Preset

BEST, KIND = "best.json", "driftrec tune"


@dataclass(frozen=True)
class Settings:
    """What was found best for an agent.

    Attributes:
        path: the file that says so.
        agent: whose options they are.
        algo: that trains it; None for an agent without training.
        env: the environment that it was tuned in.
        options: of the agent.
    """

    path: Path
    agent: str
    algo: str | None
    env: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The agent, and what trains it."""
        return self.agent if self.algo is None else f"{self.agent} by {self.algo}"

    def check(self, agent: str | None, algo: str | None = None) -> None:
        """Refuses to be used for another agent than its own.

        Raises:
            UserError: where ``agent`` or ``algo`` is given and is another.
        """
        if agent not in (None, self.agent) or algo not in (None, self.algo):
            asked = " by ".join(name for name in (agent, algo) if name)
            raise UserError(f"the settings in {self.path} are of {self.name}, got {asked}")


def read_settings(path: Path) -> Settings:
    """The best options of a study.

    Args:
        path: ``best.json``, or the study's folder.

    Raises:
        UserError: where the file is missing or no result of ``driftrec tune``.
    """
    if path.is_dir():
        path = path / BEST
    found = read_json(path)
    options = found.get("options")
    if found.get("kind") != KIND or not isinstance(options, dict):
        raise UserError(f"{path} must be a best.json of driftrec tune")
    return Settings(path, found["agent"], found["algo"], found["env"], options)


def with_settings(preset: Preset, found: Sequence[Settings]) -> Preset:
    """The preset with tuned options in place of its grids and beside its learners' own options.

    Raises:
        UserError: for settings of an agent that takes no part, of another environment, or of an
            agent that has been given others already.
    """
    names = [settings.name for settings in found]
    for settings in found:
        if names.count(settings.name) > 1:
            raise UserError(f"settings must be given once for {settings.name}, got several")
        if settings.env != preset.env:
            raise UserError(
                f"the settings in {settings.path} were tuned in {settings.env}, got {preset.env}"
            )
        learners = tuple(
            replace(x, options={**x.options, **settings.options})
            if (x.agent, x.algo) == (settings.agent, settings.algo)
            else x
            for x in preset.learners
        )
        baselines = tuple(
            replace(x, grid=(settings.options,))
            if settings.algo is None and x.agent == settings.agent
            else x
            for x in preset.baselines
        )
        if (learners, baselines) == (preset.learners, preset.baselines):
            taking = [f"{x.agent} by {x.algo}" for x in preset.learners]
            taking += [x.agent for x in preset.baselines]
            raise UserError(
                f"settings must be of an agent of the preset ({', '.join(taking)}), "
                f"got {settings.name} in {settings.path}"
            )
        preset = replace(preset, learners=learners, baselines=baselines)
    return preset
