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
    new_items: Annotated[
        Path | None,
        typer.Option(
            "--new-items",
            help="Catalogue of further items, which no one has met; needs `make models`.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained model to a folder that driftrec.agents.serving.Recommender.load serves."""
    from .recommend import export as write

    written = write(run, out, search, new_items)
    if as_json:
        echo_json(written)
        return
    size = written["bytes"] / 1e6
    typer.echo(f"{out}: {written['items']:,} items, {written['search']} search, {size:.1f} MB")


@command("driftrec explain runs/a --history me.csv --item video-017 --out why/")
def explain(
    model: Annotated[Path, typer.Argument(help="Run folder, or an exported one.")],
    history: Annotated[
        Path, typer.Option("--history", help="CSV or JSON: item_id (or title), feedback in [0, 1].")
    ],
    item: Annotated[str, typer.Option("--item", help="Id or title of the item to explain.")],
    out: Annotated[Path, typer.Option("--out", help="Where figure and text go.")],
    request: Annotated[str, typer.Option("--request", help="What is asked for, in words.")] = "",
    at: Annotated[str | None, typer.Option("--at", help="Local time, ISO; now if absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain a recommendation: what each event adds, where attention looks, interest in words."""
    from .explaining import explain_command

    answer = explain_command(model, history, item, request, at, out)
    if as_json:
        echo_json(answer)
        return
    typer.echo(answer["text"])
    typer.echo("\n" + "\n".join(answer["files"]))
