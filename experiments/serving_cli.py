"""Commands about a trained model outside the simulator: ``driftrec export`` and ``explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, command, echo_json

Run = Annotated[Path, typer.Argument(help="Run folder.")]


@command("driftrec export runs/a --out exports/a")
def export(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="Folder, new or an export to replace.")],
    search: Annotated[
        str,
        typer.Option(
            "--search",
            help="exact, faiss (nearest neighbours), or auto: faiss for a large catalogue.",
        ),
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Write a trained model to a folder that driftrec.agents.serving.Recommender.load serves."""
    from .recommend import export as write

    written = write(run, out, search)
    if as_json:
        echo_json(written)
        return
    size = written["bytes"] / 1e6
    typer.echo(f"{out}: {written['items']:,} items, {written['search']} search, {size:.1f} MB")
