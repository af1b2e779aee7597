"""The command line: ``driftrec --help``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import (  # noqa: F401  (register)
    privacy_cli,
    robustness_cli,
    serving_cli,
    training_cli,
    tuning_cli,
)

# isort: split
from . import evaluation_cli  # noqa: F401  (the order is that of the help)
from .options import (
    DEFAULT_ENV,
    AsJson,
    Catalog,
    Drift,
    EnvOption,
    Horizon,
    MaybeEnvId,
    Seed,
    SlateSize,
    Strength,
    app,
    command,
    echo_json,
    env_options,
)


@command('driftrec recommend --model runs/a --history me.csv --request "a quiet evening" -k 5')
def recommend(
    model: Annotated[Path, typer.Option("--model", help="Run folder.")],
    history: Annotated[
        Path, typer.Option("--history", help="CSV or JSON: item_id (or title), feedback in [0, 1].")
    ],
    request: Annotated[str, typer.Option("--request", help="What is asked for, in words.")] = "",
    count: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    at: Annotated[str | None, typer.Option("--at", help="Local time, ISO; now if absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recommend to one user of your own, by a trained model."""
    from .commands import recommend_command

    answer = recommend_command(model, history, request, count, at)
    if as_json:
        echo_json(answer)
        return
    if answer["request"]:
        typer.echo(f"request understood as: {answer['request']}")
    elif request:
        typer.echo(f"no known request is like {request!r}: ignored", err=True)
    for line in answer["items"]:
        typer.echo(f"{line['rank']:>4}  {line['score']:9.4f}  {line['title']}")


@command("driftrec data movielens-100k --out data/")
def data(
    name: Annotated[str, typer.Argument(help="Data set.")],
    out: Annotated[Path, typer.Option("--out", help="Where it goes.")] = Path("data"),
) -> None:
    """Fetch a data set of others, show its licence, and make it ready for --catalog."""
    from driftrec.simulators.datasets import fetch

    typer.echo(f"ready: --catalog {fetch(name, out)}")


@command("driftrec convert online-retail --source downloads/ --out data/online-retail")
def convert(
    name: Annotated[
        str, typer.Argument(help="online-retail, lastfm, movielens or movielens-100k.")
    ],
    source: Annotated[Path, typer.Option("--source", help="Folder with the set's own files.")],
    out: Annotated[Path, typer.Option("--out", help="Where items.csv and log.parquet go.")],
) -> None:
    """Bring a public log into the layout that fit reads."""
    from .fitting.public import convert as run

    items, log = run(name, source, out)
    typer.echo(f"ready: --log {log} --items {items}")


@command("driftrec fit --log log.parquet --items items.csv --out fitted/mine")
def fit(
    log: Annotated[Path, typer.Option("--log", help="CSV or Parquet: user_id,item_id,timestamp.")],
    items: Annotated[
        Path,
        typer.Option("--items", help="CSV: item_id,title[,description][,topics][,value]."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the fitted world.")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Other name of a log's column, user_id=NAME; repeatable."),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of users kept for the comparison.")
    ] = 0.3,
    max_events: Annotated[
        int, typer.Option("--max-events", min=1, help="Events kept in memory: a sample of users.")
    ] = 2_000_000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure the drift in a log, and make a world whose users drift alike.

    The folder holds the world, for --env-option domain=FOLDER, and report.md: what was measured,
    and where simulated users are unlike real ones.
    """
    from .fitting.command import FitConfig, fit_command
    from .fitting.report import findings, verdict

    names = dict(pair.split("=", 1) for pair in columns or [] if "=" in pair)
    if len(names) < len(columns or []) or not set(names) <= {"user_id", "item_id", "timestamp"}:
        raise ValueError(f"column must look like user_id=NAME, got {', '.join(columns or [])}")
    result = fit_command(
        FitConfig(log, items, out, names, held_out=held_out, max_events=max_events, seed=seed)
    )
    if as_json:
        echo_json(result.plain())
        return
    estimate = result.estimate
    typer.echo(verdict(estimate))
    typer.echo(f"half-life, events: {estimate.half_life}")
    typer.echo(f"stable share: {estimate.stable}")
    for line in findings(result.fidelity):
        typer.echo(f"- {line}")
    typer.echo(f"world: --env-option domain={out}\nreport: {out / 'report.md'}")


@command("driftrec watch --agent discounted-linucb --seed 3 --out episode.gif")
def watch(
    agent: Annotated[str | None, typer.Option("--agent", help="Name of an agent.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Run folder.")] = None,
    env: MaybeEnvId = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help=".gif, .mp4 (needs ffmpeg) or .png; else text.")
    ] = None,
    fps: Annotated[float, typer.Option("--fps", help="Requests per second of the film.")] = 2.0,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
) -> None:
    """Watch one user: true taste, what the agent takes it to be, slates and what was taken."""
    from .watch import watch as run

    options = env_options(catalog, drift, drift_strength, slate_size, horizon, env_option)

    def show(text: str) -> None:
        typer.echo(text + "\n")

    on_step = show if out is None else None
    requests = run(agent, model, env, seed, options, out, frames_per_second=fps, on_step=on_step)
    if out is not None:
        typer.echo(f"{requests} requests: {out}")


@command("driftrec gate --env driftrec/Video-v0 --seeds 10 --json")
def gate(
    env: Annotated[str, typer.Option("--env", help='Environment id, or "all".')] = DEFAULT_ENV,
    users: Annotated[int, typer.Option("--users", min=1, help="Users in a block.")] = 64,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Blocks of users.")] = 10,
    env_option: EnvOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the JSON here too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a world to what it must show; exit code 1 where it fails. Minutes per environment.

    Random < best constant < static < adaptive < Bayes filter < oracle, and room between them.
    """
    from .gate import GateConfig, gate_command

    config = GateConfig(users=users, seeds=seeds, env_options=env_options(more=env_option))
    on_report = None if as_json else typer.echo
    reports = gate_command(env, config, out, on_report, progress=False if as_json else None)
    if as_json:
        echo_json(reports)
    if not all(report["passed"] for report in reports):
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the ``driftrec`` command."""
    # With two threads sums are split by load: slower where others work too, and not repeatable.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    sys.exit(app())
