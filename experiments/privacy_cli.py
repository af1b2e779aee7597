"""Commands about the people in a log or behind a service: ``driftrec key``, ``import``, ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, command, echo_json

KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="Else DRIFTREC_KEY or DRIFTREC_KEY_FILE of the environment."),
]
UserId = Annotated[str, typer.Option("--user", help="Id of the user, as the service knows it.")]
UsersFile = Annotated[Path, typer.Option("--users", help="File of Recommender.save_users.")]


@command("driftrec key ~/driftrec.key")
def key(file: Annotated[Path, typer.Argument(help="New file, outside of any data.")]) -> None:
    """Make a secret key in a file that only you may read; without it nothing can be decrypted."""
    from driftrec.simulators.privacy import write_key

    write_key(file)
    typer.echo(f"{file}: keep it safe, and away from what it protects")


@command("driftrec import --log orders.csv --out logs/shop --column user_id=CustomerID")
def import_(
    log: Annotated[Path, typer.Option("--log", help="CSV or Parquet of events.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the imported log.")],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            "--columns",
            help="Name of user_id, item_id, timestamp or value in the log, user_id=NAME.",
        ),
    ] = None,
    opted_out: Annotated[
        Path | None,
        typer.Option("--opted-out", help="User ids, one a line, of whom nothing is kept."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Pseudonyms alone: Parquet, not encrypted.")
    ] = False,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Import a log: pseudonyms in place of user ids, then encrypted; raw ids are never written."""
    from .importing import ImportConfig, import_log
    from .worlds import parse_options

    names = {name: str(value) for name, value in parse_options(columns or []).items()}
    done = import_log(ImportConfig(log, out, key_file, names, opted_out, not plain))
    if as_json:
        echo_json(done)
        return
    left = f", {done['left_out']:,} left out" if done["left_out"] else ""
    typer.echo(f"{done['log']}: {done['rows']:,} events{left}")


@command("driftrec export-user --model exports/a --users users.sealed --user anna")
def export_user(
    user: UserId,
    users: Annotated[
        Path | None, typer.Option("--users", help="File of Recommender.save_users.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Beside --users: run folder, or an exported one.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="Folder or file of driftrec import.")
    ] = None,
    key_file: KeyFile = None,
) -> None:
    """Print as JSON all that is held on a user, in a service's saved users or an imported log."""
    from .people import export_user as read

    echo_json(read(user, users, model, log, key_file))


@command("driftrec forget-user --model exports/a --users users.sealed --user anna --opt-out")
def forget_user(
    user: UserId,
    users: UsersFile,
    model: Annotated[Path, typer.Option("--model", help="Run folder, or an exported one.")],
    opt_out: Annotated[
        bool, typer.Option("--opt-out", help="And keep nothing of them from now on.")
    ] = False,
    key_file: KeyFile = None,
) -> None:
    """Remove all that a service's saved users hold on one of them."""
    from .people import forget_user as remove

    typer.echo(f"{remove(user, users, model, opt_out, key_file):,} events forgotten")
