"""The commands that measure and show: evaluate, benchmark and plot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    Address,
    AsJson,
    Catalog,
    Drift,
    Engine,
    EnvIds,
    EnvOption,
    Horizon,
    MaybeEnvId,
    Seed,
    SettingsFile,
    SlateSize,
    Strength,
    Strengths,
    Workers,
    command,
    echo_json,
    env_options,
)


@command("driftrec evaluate --agent discounted-linucb --users 200 --seed 7 --json")
def evaluate(
    agent: Annotated[str | None, typer.Option("--agent", help="Name of an agent.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Run folder.")] = None,
    env: MaybeEnvId = None,
    users: Annotated[int, typer.Option("--users", min=1, help="How many users.")] = 1000,
    seed: Seed = 0,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    settings: SettingsFile = None,
    out: Annotated[Path | None, typer.Option("--out", help="Keep every step in this npz.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score one agent on users that the seed fixes: the same for every agent."""
    from .commands import evaluate_command

    summary = evaluate_command(
        agent,
        model,
        env,
        users,
        seed,
        env_options(catalog, drift, drift_strength, slate_size, horizon, env_option),
        settings=settings,
        out=out,
        progress=False if as_json else None,
    )
    if as_json:
        echo_json(summary)
        return
    typer.echo(f"{summary['agent']} on {summary['env']}, {users:,} users from seed {seed}")
    if "pretraining" in summary:
        typer.echo(f"pretraining: {summary['pretraining']}")
    low, high = summary["interval"]
    typer.echo(f"score: {summary['score']:.4f}, 95 % interval {low:.4f} to {high:.4f}")
    for name in ("mean", "steps_stayed", "coverage", "diversity", "seconds"):
        typer.echo(f"{name.replace('_', ' ')}: {summary[name]:.4f}")


@command("driftrec benchmark --preset demo --out results/demo")
def benchmark(
    out: Annotated[Path, typer.Option("--out", help="Folder, new or to be continued.")],
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="demo, standard, quick, networks, conditioning, ablations; "
            "or a sweep: full, rivals.",
        ),
    ] = "demo",
    env: EnvIds = None,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strengths = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    settings: Annotated[
        list[Path] | None,
        typer.Option(
            "--settings",
            help="The best.json of driftrec tune, in place of a grid or beside a learner's own "
            "options; repeatable.",
        ),
    ] = None,
    workers: Workers = 2,
    engine: Engine = "local",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate a preset's agents on the same users, and write the report.

    An interrupted benchmark continues where it stopped when the same command is given again.
    """
    from .commands import benchmark_command

    report = benchmark_command(
        preset,
        env or (),
        drift_strength or (),
        env_options(catalog, drift, None, slate_size, horizon, env_option),
        out,
        settings=settings or (),
        workers=workers,
        engine=engine,
        address=address,
        progress=False if as_json else None,
    )
    if as_json:
        echo_json({"folder": str(out), "scores": report.scores, "findings": report.findings})
        return
    typer.echo("\n".join(["", report.table, "", *report.findings]))
    typer.echo(f"\nreport: {out / 'report.html'}")


@command("driftrec plot runs/* --out figures/")
def plot(
    paths: Annotated[list[Path], typer.Argument(help="Run folders and benchmark folders.")],
    out: Annotated[Path, typer.Option("--out", help="Where the figures go.")] = Path("figures"),
    users: Annotated[
        int,
        typer.Option("--users", min=0, help="Users whom models serve; 0: reward curves alone."),
    ] = 100,
) -> None:
    """Draw the reward curves of runs and their models at work, and all figures of benchmarks."""
    from .plot import plot as draw

    for path in draw(paths, out, users):
        typer.echo(path)
