"""What a model was pretrained on: where logs are found, and how it is told with the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError
from .runs import read_run

SIMULATOR = "simulator"  # the name of the log of the simulator's own logging policy
# Options that say how much, and what is told.
PRETRAINING = ("pretrain_steps", "practice_steps", "privileged")
Stage = dict[str, Any]


def stages(train: Mapping[str, Any], before: Sequence[Stage] = ()) -> list[Stage]:
    """The pretraining that a run with these settings gets, what its first weights had included.

    Args:
        train: fields of ``TrainConfig``.
        before: the stages of the run that it starts from.
    """
    options = train["learner_options"]
    steps = min(int(options.get("pretrain_steps", 0)), train["steps"])
    if not steps:
        return list(before)
    practice = int(options.get("practice_steps", 0))
    practised = [{"told": "practice", "log": None, "steps": practice}] if practice else []
    log = train.get("log")
    told = "log" if log else "utilities" if options.get("privileged") else "own slates"
    epsilon = options.get("epsilon")
    if epsilon is None:
        return [*before, *practised, {"told": told, "log": log, "steps": steps}]
    read = {"told": "log", "log": log or SIMULATOR, "steps": 0, "epsilon": epsilon}
    told = "utilities" if options.get("privileged") else "own slates"
    return [*before, read, *practised, {"told": told, "log": None, "steps": steps}]


def stages_of(record: Mapping[str, Any]) -> list[Stage]:
    """The stages that a run's ``config.json`` tells, of whichever release."""
    return record["pretraining"] if "pretraining" in record else stages(record["train"])


def describe_stages(found: Sequence[Stage]) -> str:
    """The stages in words, for tables and terminals."""
    return ", then ".join(map(_told_how, found)) or "none"


def _told_how(stage: Stage) -> str:
    if "epsilon" in stage:
        return f"{_told(stage)}, private at epsilon {stage['epsilon']:g}"
    return f"{stage['steps']:,} user-steps on {_told(stage)}"


def _told(stage: Stage) -> str:
    if stage["told"] == "log":
        simulated = stage["log"] == SIMULATOR
        return "the log of the simulator's logging policy" if simulated else f"log {stage['log']}"
    if stage["told"] == "practice":
        return "answers to its own best slates"
    if stage["told"] == "utilities":
        return "the users' true utilities (targets only)"
    return "logged feedback"


def promised(learner: Any, start: str | None) -> dict[str, Any] | None:
    """The guarantee of the fit to come, or else that of the run which a training starts from."""
    plan = learner.promised()
    if plan is not None:
        return asdict(plan)
    return None if start is None else read_run(Path(start)).get("privacy")


def describe_privacy(privacy: Mapping[str, Any] | None) -> list[str]:
    """The guarantee as a line for the terminal; none without one."""
    if privacy is None:
        return []
    return ["privacy: epsilon {epsilon:.3g}, delta {delta:.1g}, {users:,} users".format(**privacy)]


def begun_in(folder: Path, agent: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a training that starts from a run has from it, as fields of ``TrainConfig``.

    Args:
        folder: the run.
        agent: that was asked for; None for the run's own.
        options: of the learner, that were asked for; what else is known of network and items is
            the run's own.

    Raises:
        UserError: where the folder holds no run, or one of another agent.
    """
    from driftrec.agents.learners import ITEM_OPTIONS, network_options

    train = read_run(folder)["train"]
    if agent not in (None, train["agent"]):
        raise UserError(f"the model in {folder} is of the agent {train['agent']}, got {agent}")
    own = network_options(train["agent"], train["learner_options"])
    own |= {name: v for name, v in train["learner_options"].items() if name in ITEM_OPTIONS}
    if train["learner_options"].get("epsilon") is not None:
        own["log_passes"] = 0  # the log has been read, as privately as was asked for
    return {
        "start": str(folder),
        "env": train["env"],
        "agent": train["agent"],
        "env_options": train["env_options"],
        "learner_options": {**own, **options},
    }


def read_log(log: str, learner: Any, users: Any, seed: int) -> None:
    """Gives a learner its log: to fit the interest on where it is private, else whole episodes."""
    if learner.privacy is not None:
        learner.behaviour = open_behaviour(log, users, seed)
    else:
        learner.log = open_log(log, users, learner.worth)


def open_log(log: str, users: Any, worth: Any) -> Any:
    """The log of that name, to be read in pieces of as many episodes as there are users.

    Args:
        log: ``SIMULATOR``, a path that ``simulators.readers.read_events`` reads, or the id of a
            local Minari dataset.
        users: the ``BatchVecEnv`` of the training.
        worth: [N] reward per unit of feedback.

    Raises:
        UserError: where there is no such log, or it does not fit the environment.
    """
    from driftrec.agents.logs import RecordedLog, SimulatedLog

    if log == SIMULATOR:
        return SimulatedLog(users, worth)
    path = Path(log).expanduser()
    episodes = _from_file(path, users) if path.exists() else _from_dataset(log, users)
    return RecordedLog(episodes, users.num_envs)


def open_behaviour(log: str, users: Any, seed: int) -> Any:
    """What users of that log chose, a row a user, for a private fit; None for the simulator's.

    Raises:
        UserError: where there is no such log, it does not say whose its events are, or none is of
            an item of the catalogue.
    """
    from driftrec.agents.contrast import last_choices

    if log == SIMULATOR:
        return None
    path = Path(log).expanduser()
    if not path.exists():
        raise UserError(f"log must be a file or folder with events of users, got {log!r}")
    world = users.env.unwrapped
    return last_choices(
        *_events(path, users),
        num_items=len(world.catalog),
        history=int(world.history),
        slots=int(world.slate_size),
        generator=np.random.default_rng(seed),
    )


def _from_dataset(name: str, users: Any) -> Any:
    from driftrec.agents.logs import from_export
    from driftrec.envs.replay import from_minari

    try:
        logged = from_minari(name)
    except (ImportError, ValueError):
        raise UserError(
            f"log must be a file or folder with events, or a local Minari dataset, got {name!r}"
        ) from None
    world, found = users.env.unwrapped, logged[0].observations
    expected = (int(world.history), int(world.slate_size))
    if found["slates"].shape[1:] != expected:
        raise UserError(
            f"log {name} must have history and slate size {expected}, as the environment, "
            f"got {found['slates'].shape[1:]}"
        )
    most, items = max(int(e.slates.max()) for e in logged), len(world.catalog)
    if most >= items or ("available" in found and found["available"].shape[1] != items):
        raise UserError(f"log {name} must be of the environment's {items} items, got item {most}")
    return from_export(logged)


def _from_file(path: Path, users: Any) -> Any:
    """Episodes of the events of a log."""
    from driftrec.agents.logs import from_events

    world = users.env.unwrapped
    return from_events(
        *_events(path, users),
        worth=world.simulator.worth,
        history=int(world.history),
        steps=int(world.horizon),
        slots=int(world.slate_size),
    )


def _events(path: Path, users: Any) -> tuple[Any, Any, Any, Any]:
    """User, item, grade and hours [E] of a log; of items that the catalogue has."""
    from driftrec.simulators.readers import read_events

    world = users.env.unwrapped
    position = {name: i for i, name in enumerate(world.catalog.ids)}
    number: dict[str, int] = {}
    rows, total = [], 0
    for event in read_events(path):
        total += 1
        if event.item not in position:
            continue
        if "timestamp" not in event.row.cells:
            raise UserError(f"{event.row.file} must have a column timestamp, in seconds")
        user = number.setdefault(event.user, len(number))
        monday = event.row.number("timestamp") / 3600 + 72  # the epoch began on a Thursday
        rows.append((user, position[event.item], event.value, monday))
    if not rows:
        raise UserError(f"none of the {total} events in {path} is of an item of the catalogue")
    user_of, item, value, hours = (np.array(column) for column in zip(*rows, strict=True))
    return user_of, item, value / max(1.0, value.max()), hours  # grades are shares of the largest
