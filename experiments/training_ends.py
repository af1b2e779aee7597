"""What is said where a training ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .options import echo_json
from .runs import LAST, MODEL

if TYPE_CHECKING:
    from .train import TrainResult


def describe_result(result: TrainResult) -> str:
    """A few lines for the terminal: what was reached and where it lies."""
    from .pretraining import describe_privacy  # imports NumPy, which help must not wait for

    head = "interrupted" if result.interrupted else "finished"
    if result.stopped:
        head = "stopped early, nothing better having come,"
    lines = [
        f"{head} after {result.steps:,} user-steps and {result.seconds:.0f} s",
        f"validation reward per user-step: {result.score:.4f}, after {result.best_step:,} steps",
        f"pretraining: {result.pretraining}",
        *describe_privacy(result.privacy),
        f"best model:   {result.folder / MODEL}",
    ]
    if result.interrupted:
        lines.append(f"last checkpoint: {result.folder / LAST}")
        lines.append(f"to go on:     driftrec train --resume {result.folder}")
    return "\n".join(lines)


def show_training(result: TrainResult, as_json: bool) -> None:
    """Where a training ended; exit code 130 after Ctrl-C."""
    if as_json:
        echo_json(result.plain())
    else:
        typer.echo(describe_result(result))
    if result.interrupted:
        raise typer.Exit(130)
