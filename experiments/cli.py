"""The command line: ``driftrec --help``.

Only typer is imported here; what a command needs is imported when it runs, so help is instant.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

if TYPE_CHECKING:
    from .train import TrainResult

P = ParamSpec("P")

app = typer.Typer(
    name="driftrec",
    help="How much better is a recommender that re-learns the interest at every request?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

EnvId = Annotated[str, typer.Option("--env", help="Environment id.")]
MaybeEnvId = Annotated[
    str | None, typer.Option("--env", help="Environment id; the model's own where one is given.")
]
Catalog = Annotated[
    str | None, typer.Option("--catalog", help="Catalogue file or folder instead of the built-in.")
]
Drift = Annotated[
    str | None, typer.Option("--drift", help='Drifts, comma-separated, or "all" or "none".')
]
Strength = Annotated[
    float | None, typer.Option("--drift-strength", help="0: the world stands still, 1: the preset.")
]
SlateSize = Annotated[int | None, typer.Option("--slate-size", help="K, items in a slate.")]
Horizon = Annotated[int | None, typer.Option("--horizon", help="Requests until a session is cut.")]
EnvOption = Annotated[
    list[str] | None,
    typer.Option("--env-option", help="Any option of the environment, key=value; repeatable."),
]
LearnerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="Option of policy or algorithm, key=value; repeatable: hidden=32, window=4 (mlp), "
        "head=id-softmax or head=proto with vectors=1 (plackett-luce unless told), "
        "top_k_correction=True (reinforce).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, no progress bar.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Fixes everything random.")]
DEFAULT_ENV = "driftrec/Video-v0"


def command(example: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a command: help that ends with a runnable example, errors in one line."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except KeyboardInterrupt:
                typer.echo("interrupted", err=True)
                raise typer.Exit(130) from None
            except (ValueError, OSError) as error:
                if os.environ.get("DRIFTREC_TRACEBACK"):
                    raise
                typer.echo(f"driftrec: error: {' '.join(str(error).split())}", err=True)
                raise typer.Exit(2) from None

        app.command(epilog=f"\b\nExample:\n  {example}")(guarded)
        return guarded

    return register


def env_options(
    catalog: str | None = None,
    drift: str | None = None,
    drift_strength: float | None = None,
    slate_size: int | None = None,
    horizon: int | None = None,
    more: list[str] | None = None,
) -> dict[str, Any]:
    """The options of the environment that were given."""
    from .worlds import parse_options

    named = {
        "catalog": None if catalog is None else str(Path(catalog).expanduser().resolve()),
        "drift": drift,
        "drift_strength": drift_strength,
        "slate_size": slate_size,
        "horizon": horizon,
    }
    return {k: v for k, v in named.items() if v is not None} | parse_options(more or [])


PretrainSteps = Annotated[
    int | None,
    typer.Option("--pretrain-steps", min=0, help="How many of them pretrain; default 3/4."),
]
Privileged = Annotated[
    bool,
    typer.Option(
        "--privileged/--log-only",
        help="Pretrain on the users' true utilities (targets, never inputs), or on feedback alone.",
    ),
]


Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Go on with this interrupted run, with its own settings."),
]
EarlyStop = Annotated[
    int,
    typer.Option(
        "--early-stop", min=0, help="End after so many validations without a new best; 0: never."
    ),
]


@command("driftrec train --agent interest-attention --algo ppo --steps 20000 --out runs/a")
def train(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder, new.")] = None,
    resume: Resume = None,
    env: EnvId = DEFAULT_ENV,
    agent: Annotated[
        str,
        typer.Option(
            "--agent",
            help="Policy: interest-attention, attention (without interest), static-attention "
            "(reads the warm-up only), gru or mlp.",
        ),
    ] = "interest-attention",
    algo: Annotated[str, typer.Option("--algo", help="ppo or reinforce.")] = "ppo",
    steps: Annotated[int, typer.Option("--steps", min=1, help="User-steps.")] = 300_000,
    seed: Seed = 0,
    num_envs: Annotated[int, typer.Option("--num-envs", min=1, help="Users at once.")] = 128,
    early_stop: EarlyStop = 0,
    pretrain_steps: PretrainSteps = None,
    privileged: Privileged = True,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    option: LearnerOption = None,
    as_json: AsJson = False,
) -> None:
    """Train an agent; the run folder gets config, metrics, TensorBoard events and the model.

    The model kept is the best on validation users. Ctrl-C keeps it, and the newest beside it, from
    which --resume goes on to the same end as if nothing had happened.
    """
    from . import train as training
    from .worlds import parse_options

    progress = False if as_json else None
    if resume is not None:
        refuse_beside(context, "resume", "as_json")
        show_training(training.resume(resume, progress=progress), as_json)
        return
    if out is None:
        raise ValueError("give either --out or --resume, got none")
    options = env_options(catalog, drift, drift_strength, slate_size, horizon, env_option)
    config = training.TrainConfig(
        out=str(out),
        env=env,
        agent=agent,
        algo=algo,
        steps=steps,
        seed=seed,
        num_envs=num_envs,
        env_options=options,
        learner_options={
            "pretrain_steps": steps * 3 // 4 if pretrain_steps is None else pretrain_steps,
            "privileged": privileged,
            **parse_options(option or []),
        },
        early_stop=early_stop,
    )
    show_training(training.train(config, progress=progress), as_json)


def refuse_beside(context: typer.Context, *allowed: str) -> None:
    """Refuses flags that the first of ``allowed`` would make void.

    Raises:
        ValueError: naming the flag.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise ValueError(
                f"--{allowed[0]} keeps the run's own settings: leave out {parameter.opts[0]}"
            )


def show_training(result: TrainResult, as_json: bool) -> None:
    """Where a training ended; exit code 130 after Ctrl-C."""
    from .train import describe_result

    if as_json:
        echo_json(result.plain())
    else:
        typer.echo(describe_result(result))
    if result.interrupted:
        raise typer.Exit(130)


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
        out=out,
        progress=False if as_json else None,
    )
    if as_json:
        echo_json(summary)
        return
    typer.echo(f"{summary['agent']} on {summary['env']}, {users:,} users from seed {seed}")
    low, high = summary["interval"]
    typer.echo(f"score: {summary['score']:.4f}, 95 % interval {low:.4f} to {high:.4f}")
    for name in ("mean", "steps_stayed", "coverage", "diversity", "seconds"):
        typer.echo(f"{name.replace('_', ' ')}: {summary[name]:.4f}")


@command("driftrec benchmark --preset demo --out results/demo")
def benchmark(
    out: Annotated[Path, typer.Option("--out", help="Folder, new or to be continued.")],
    preset: Annotated[str, typer.Option("--preset", help="demo.")] = "demo",
    env: MaybeEnvId = None,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0: this one.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate a preset's agents on the same users, and write the report.

    An interrupted benchmark continues where it stopped when the same command is given again.
    """
    from .commands import benchmark_command

    options = env_options(catalog, drift, drift_strength, slate_size, horizon, env_option)
    report = benchmark_command(
        preset, env, options, out, workers=workers, progress=False if as_json else None
    )
    if as_json:
        echo_json({"folder": str(out), "scores": report.scores, "findings": report.findings})
        return
    typer.echo(f"\n{report.table}\n")
    typer.echo("\n".join(report.findings))
    typer.echo(f"\nreport: {out / 'report.html'}")


@command("driftrec plot runs/* --out figures/")
def plot(
    paths: Annotated[list[Path], typer.Argument(help="Run folders and benchmark folders.")],
    out: Annotated[Path, typer.Option("--out", help="Where the figures go.")] = Path("figures"),
) -> None:
    """Draw the reward curves of runs, and all figures of benchmarks."""
    from .plot import plot as draw

    for path in draw(paths, out):
        typer.echo(path)


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


def echo_json(content: Any) -> None:
    """Print plain values as JSON."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def main() -> None:
    """Entry point of the ``driftrec`` command."""
    # With two threads sums are split by load: slower where others work too, and not repeatable.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    sys.exit(app())
