"""What the commands share: how they are registered, the options that many take, and JSON.

Only typer is imported here and beside the commands; what a command needs is imported when it runs,
so help is instant.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

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
EnvIds = Annotated[
    list[str] | None, typer.Option("--env", help="Environment id; repeatable where many are run.")
]
Strengths = Annotated[
    list[float] | None,
    typer.Option(
        "--drift-strength",
        "--strength",
        help="0: the world stands still, 1: the preset; repeatable where many are run.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=0, help="Jobs at once; 0: one by one in this process.")
]
Engine = Annotated[str, typer.Option("--engine", help="Where jobs run: local or ray.")]
Address = Annotated[
    str | None, typer.Option("--address", help="Of a Ray cluster; else Ray starts on this machine.")
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
        "head=diverse, head=id-softmax or head=proto with vectors=1 (expected-reward unless told), "
        "top_k_correction=True (reinforce).",
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="The best.json of driftrec tune: options for this agent."),
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

        app.command(example.split()[1], epilog=f"\b\nExample:\n  {example}")(guarded)
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
    options = {k: v for k, v in named.items() if v is not None} | parse_options(more or [])
    if "domain" in options:
        from driftrec.envs.config import located

        options["domain"] = located(options["domain"])
    return options


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


def echo_json(content: Any) -> None:
    """Print plain values as JSON."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
