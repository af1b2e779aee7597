"""The command that tunes agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    DEFAULT_ENV,
    AsJson,
    Catalog,
    Drift,
    EnvId,
    EnvOption,
    Horizon,
    Seed,
    SlateSize,
    Strength,
    command,
    echo_json,
    env_options,
)
from .training_options import NumEnvs, PracticeSteps, PretrainSteps, Privileged, prepared

if TYPE_CHECKING:
    from .tune import TuneResult

# What only a learner has, by the parameter of the command.
OF_LEARNERS = ("algo", "steps", "num_envs", "pretrain_steps", "practice_steps", "privileged")


@command("driftrec tune --agent discounted-linucb --trials 20 --out results/tuned/linucb")
def tune(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder, new or to be continued.")],
    env: EnvId = DEFAULT_ENV,
    agent: Annotated[
        str, typer.Option("--agent", help="Name of any agent, trained or not.")
    ] = "interest-attention",
    algo: Annotated[str, typer.Option("--algo", help="ppo, reinforce or slateq.")] = "ppo",
    trials: Annotated[int, typer.Option("--trials", min=1, help="Configurations to try.")] = 30,
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="User-steps of each trial of a learner.")
    ] = 64_000,
    seed: Seed = 0,
    num_envs: NumEnvs = 128,
    pretrain_steps: PretrainSteps = None,
    practice_steps: PracticeSteps = None,
    privileged: Privileged = False,
    validation_users: Annotated[
        int, typer.Option("--validation-users", min=1, help="Users that trials are scored on.")
    ] = 256,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="Option of the agent to keep fixed, key=value; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tune an agent on validation users; best.json goes to --settings of the other commands.

    The first trial is the agent untuned; where practice is long, with --option trial=True. An
    interrupted study goes on when the same command is given again, and grows with more --trials.
    Needs the extra: pip install 'driftrec[tune]'.
    """
    from .tune import TuneConfig
    from .tune import tune as run
    from .worlds import parse_options

    options = parse_options(option or [])
    config = TuneConfig(
        out=str(out),
        env=env,
        agent=agent,
        algo=algo,
        trials=trials,
        steps=steps,
        seed=seed,
        num_envs=num_envs,
        env_options=env_options(catalog, drift, drift_strength, slate_size, horizon, env_option),
        options=options,
        validation_users=validation_users,
    )
    if config.trained:
        config = config.given(prepared(steps, pretrain_steps, practice_steps, privileged))
    else:
        refuse_of_learners(context, agent)
    show_study(run(config, progress=False if as_json else None), as_json)


def refuse_of_learners(context: typer.Context, agent: str) -> None:
    """Refuses flags that mean nothing to an agent without training.

    Raises:
        ValueError: naming the flag.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in OF_LEARNERS and source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"{agent} is not trained: leave out {parameter.opts[0]}")


def show_study(result: TuneResult, as_json: bool) -> None:
    """Where a study stands; exit code 130 after Ctrl-C."""
    from .tune import describe_study

    if as_json:
        echo_json(result.best or {})
    else:
        typer.echo(describe_study(result))
    if result.interrupted:
        raise typer.Exit(130)
