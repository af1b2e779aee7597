"""The command ``driftrec robustness``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import DEFAULT_ENV, EnvId, EnvOption, command, env_options


@command("driftrec robustness --out results/robustness")
def robustness(
    out: Annotated[Path, typer.Option("--out", help="Folder, new or to be continued.")],
    env: EnvId = DEFAULT_ENV,
    agent: Annotated[str, typer.Option("--agent", help="Learned agent.")] = "interest-attention",
    algo: Annotated[str, typer.Option("--algo", help="ppo, reinforce or slateq.")] = "ppo",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of each training.")] = 38_400,
    num_envs: Annotated[int, typer.Option("--num-envs", min=1, help="Users at once.")] = 64,
    users: Annotated[int, typer.Option("--users", min=1, help="Test users.")] = 300,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the trainings.")] = 1,
    env_option: EnvOption = None,
    bots: Annotated[
        bool, typer.Option("--bots/--no-bots", help="Whether to train among bots too.")
    ] = True,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0: this one.")] = 2,
) -> None:
    """Train under one drift and meet another; lose feedback, or get it from bots. What breaks?

    Interrupted, it goes on where it stopped when the same command is given again.
    """
    from .robustness import RobustnessConfig
    from .robustness import robustness as measure
    from .robustness_report import write_report

    more = env_options(more=env_option)
    config = RobustnessConfig(env, agent, algo, steps, num_envs, users, seed, more, bots)
    jobs = measure(config, out, workers=workers, progress=None)
    for line in write_report(config, jobs, out):
        typer.echo(f"- {line}")
    typer.echo(f"report: {out / 'report.md'}")
